// A result that is dropped on the page, beside every place for files, goes to the one for results.
const apart = (event) => {
  if (!element.isConnected) {
    document.removeEventListener("dragover", over);
    document.removeEventListener("drop", dropped);
    return false;
  }
  const block = event.target.closest?.(".block");
  return event.dataTransfer?.types.includes("Files") && !block?.querySelector("input[type=file]");
};
// Left alone, the browser would leave the page for the file.
const over = (event) => { if (apart(event)) event.preventDefault(); };
const dropped = (event) => {
  if (!apart(event)) return;
  event.preventDefault();
  const file = [...event.dataTransfer.files].find((one) => /\.(mp4|glb)$/i.test(one.name));
  if (file) give(file);
};
const give = (file) => {
  const input = document.querySelector(`#${props.target} input[type=file]`);
  // It is away while it holds the file that was dropped before.
  if (!input) return element.isConnected && setTimeout(give, 100, file);
  const given = new DataTransfer();
  given.items.add(file);
  input.files = given.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
};
document.addEventListener("dragover", over);
document.addEventListener("drop", dropped);
