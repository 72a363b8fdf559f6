// Ctrl-Enter (Cmd-Enter) runs, Escape stops: on the tab that is seen, where its button can be pressed.
// Who types may mean something else by Escape, and a run is not to be lost by that.
const TYPED = "textarea, input:not([type=checkbox], [type=radio], [type=range])";
// By the window's edge, where the page itself is empty, something else is seen where a panel of gradio's lies over it.
const isCovered = (button) => !document.elementFromPoint(0, innerHeight / 2)?.contains(button);
const press = (id) => {
  const button = document.getElementById(id);
  if (!button || button.disabled || !button.offsetParent || isCovered(button)) return false;
  button.click();
  return true;
};
const pressed = (event) => {
  if (!element.isConnected) return document.removeEventListener("keydown", pressed, true);
  // A word that is being composed, and an open list, take both keys for themselves.
  if (event.isComposing || event.target.ariaExpanded === "true") return;
  const runs = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  if (!runs && (event.key !== "Escape" || event.target.matches(TYPED))) return;
  if (press(runs ? props.start : props.stop)) event.preventDefault();
};
document.addEventListener("keydown", pressed, true);

// Whoever presses a button by the keyboard goes on with the other one, since the first is put away.
let held = null;
const buttons = [props.start, props.stop];
const focused = ({ target }) => {
  held = buttons.includes(target.id) && target.matches(":focus-visible") ? target : null;
};
const moved = () => {
  if (!element.isConnected) { observer.disconnect(); return document.removeEventListener("focusin", focused); }
  if (!held?.disabled || ![document.body, held].includes(document.activeElement)) return;
  const other = document.getElementById(buttons.find((id) => id !== held.id));
  if (other && !other.disabled) other.focus({ focusVisible: true });
};
const observer = new MutationObserver(moved);
document.addEventListener("focusin", focused);
observer.observe(document.body, { subtree: true, attributes: true, attributeFilter: ["disabled"] });
