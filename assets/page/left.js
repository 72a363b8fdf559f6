// A page that is left, reloaded or cut off from the studio stops its run. The page that comes in its place says so.
const KEY = "scorebrush-left";
const leave = () => {
  if (!element.isConnected) return removeEventListener("pagehide", leave);
  for (const [stop, status] of props.tabs) {
    const button = document.getElementById(stop);
    // Before its first step a run leaves nothing.
    const step = button && !button.disabled && document.getElementById(status).textContent.match(/Step (\d+ of \d+)/);
    if (step) sessionStorage.setItem(KEY, step[1]);
  }
};
addEventListener("pagehide", leave);
const left = sessionStorage.getItem(KEY);
// Not at once: while the network comes and goes, so do pages.
setTimeout(() => sessionStorage.removeItem(KEY), 30_000);
if (left) element.querySelector("p").textContent =
  `The run of this page was stopped when the page was left, at step ${left}. It is in Runs.`;
