// A page that is closed, left, reloaded or cut off from the studio stops its run. The page that comes next says so, in
// its place or in a tab of its own.
const KEY = "scorebrush-left";
const leave = () => {
  if (!element.isConnected) return removeEventListener("pagehide", leave);
  for (const [stop, status] of props.tabs) {
    const button = document.getElementById(stop);
    // Before its first step a run leaves nothing.
    const step = button && !button.disabled && document.getElementById(status).textContent.match(/Step (\d+ of \d+)/);
    if (step) localStorage.setItem(KEY, step[1]);
  }
};
addEventListener("pagehide", leave);
const left = localStorage.getItem(KEY);
if (left) {
  element.querySelector("p").textContent =
    `Your run was stopped when its page was left, at step ${left}. It is in Runs.`;
  // Not at once: while the network comes and goes, so do pages. Nor what another page left since.
  setTimeout(() => { if (localStorage.getItem(KEY) === left) localStorage.removeItem(KEY); }, 30_000);
}
