// What is brushed on a picture. `props.picture` is the picture's address, `props.value` the strokes as
// a see-through PNG of the picture's size, "" for none, and `props.says` what is seen. A stroke is in the value by the time its end is
// handled, so whatever is pressed next is told of it; and a picture brings its own value along, so
// there is no moment at which strokes belong to another picture than the one that is seen.
const find = (name) => element.querySelector(name);
const stage = find(".brush-stage"), picture = find("img"), canvas = find("canvas"), ring = find(".brush-ring");
const width = find("input"), erase = find(".brush-erase"), undo = find(".brush-undo"), redo = find(".brush-redo");
const context = canvas.getContext("2d");
const MOST = 420; // pixels high on the page
let strokes = [], undone = [], drawn = null, kept = null, loads = 0;

const thick = () => width.value / 100 * Math.min(canvas.width, canvas.height);

function draw({ points, thick, erases }) {
  context.globalCompositeOperation = erases ? "destination-out" : "source-over";
  context.strokeStyle = "#ff2d78"; context.lineWidth = thick; context.lineCap = context.lineJoin = "round";
  context.beginPath(); context.moveTo(...points[0]);
  for (const point of points) context.lineTo(...point);
  context.stroke();
}

function drawAll() {
  context.globalCompositeOperation = "source-over";
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (kept) context.drawImage(kept, 0, 0, canvas.width, canvas.height);
  strokes.forEach(draw);
  undo.disabled = !strokes.length; redo.disabled = !undone.length;
}

function tell() { props.value = strokes.length || kept ? canvas.toDataURL("image/png") : ""; }

function busy(is) { canvas.inert = is; find(".brush").ariaBusy = String(is); }

// Decoded before it is shown: a picture and the canvas over it change together.
async function decoded(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

async function load() {
  const { picture: address, value } = props, turn = ++loads;
  strokes = []; undone = []; drawn = kept = null; busy(true);
  if (!address) return;
  const [below, over] = await Promise.all([decoded(address), value ? decoded(value) : null]);
  if (turn !== loads) return; // What came since is newer.
  const [w, h] = [below.naturalWidth, below.naturalHeight];
  picture.src = address; canvas.width = w; canvas.height = h; kept = over;
  stage.style.aspectRatio = `${w} / ${h}`; stage.style.width = `min(100%, ${MOST * w / h}px)`;
  find(".brush-says").textContent = props.says;
  drawAll(); busy(false);
}

const at = (event) => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * canvas.width, (event.clientY - box.top) / box.height * canvas.height];
};

function circle(event) {
  const scale = canvas.getBoundingClientRect().width / canvas.width, [x, y] = at(event);
  ring.hidden = event.type === "pointerleave";
  ring.style.cssText = `left: ${x * scale}px; top: ${y * scale}px; width: ${thick() * scale}px`;
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  canvas.setPointerCapture(event.pointerId); event.preventDefault();
  drawn = { points: [at(event)], thick: thick(), erases: erase.ariaPressed === "true" };
  strokes.push(drawn); undone = []; drawAll();
});
canvas.addEventListener("pointermove", (event) => {
  circle(event);
  if (!drawn) return;
  drawn.points.push(...(event.getCoalescedEvents?.() ?? []).map(at), at(event));
  drawAll();
});
const lift = () => { if (drawn) { drawn = null; tell(); } };
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, lift);
canvas.addEventListener("pointerleave", circle);
erase.addEventListener("click", () => { erase.ariaPressed = String(erase.ariaPressed !== "true"); });
const move = (from, to) => { if (from.length) { to.push(from.pop()); drawAll(); tell(); } };
undo.addEventListener("click", () => move(strokes, undone));
redo.addEventListener("click", () => move(undone, strokes));
watch(["picture", "value", "says"], load);
load();
