// Names for screen readers where gradio gives every control of a kind the same one.
const text = (control, part) => control.closest(".block")?.querySelector(part)?.textContent.trim();
const KINDS = {
  'button[aria-label="Reset to default value"]': (button) => {
    const name = text(button, '[data-testid="block-info"]');
    return name && `Reset ${name}`;
  },
  'button[aria-label="Click to upload or drop files"]': (button) => {
    const name = text(button, '[data-testid="block-label"]');
    return name && `${name}: click to upload or drop files`;
  },
  'button:is([aria-label="Clear"], [aria-label="Undo"])': (button) => {
    const name = text(button, '[data-testid="block-label"]');
    return name && `${name}: ${button.ariaLabel.toLowerCase()}`;
  },
  'button[aria-label^="Thumbnail "]': (button) => {
    const name = button.querySelector(".caption-label")?.textContent.trim() || button.querySelector("img")?.alt;
    return name && `${name} (${button.ariaLabel.replace("Thumbnail ", "")})`; // Two may say the same.
  },
};
function name() {
  for (const [kind, says] of Object.entries(KINDS))
    for (const control of document.querySelectorAll(kind)) {
      const said = says(control);
      if (said) control.ariaLabel = said;
    }
}
let due = false;
new MutationObserver(() => {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; name(); });
}).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["aria-label"] });
name();
