// Ctrl-Enter (Cmd-Enter) runs, Escape stops: on the tab that is seen, where its button can be pressed.
const press = (id) => {
  const button = document.getElementById(id);
  if (!button || button.disabled || !button.offsetParent) return false;
  button.click();
  return true;
};
const pressed = (event) => {
  if (!element.isConnected) return document.removeEventListener("keydown", pressed, true);
  const runs = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  if (!runs && event.key !== "Escape") return;
  if (press(runs ? props.start : props.stop)) event.preventDefault();
};
document.addEventListener("keydown", pressed, true);
