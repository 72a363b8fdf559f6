// Ctrl-Enter (Cmd-Enter) runs, Escape stops: on the tab that is seen, where its button can be pressed.
const press = (id) => {
  const button = document.getElementById(id);
  if (!button || button.disabled || !button.offsetParent) return false;
  button.click();
  return true;
};
const pressed = (event) => {
  if (!element.isConnected) return document.removeEventListener("keydown", pressed, true);
  // Escape ends what is being typed, or closes an open list, before it stops a run.
  if (event.isComposing || event.target.ariaExpanded === "true") return;
  const runs = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  if (!runs && event.key !== "Escape") return;
  if (press(runs ? props.start : props.stop)) event.preventDefault();
};
document.addEventListener("keydown", pressed, true);
