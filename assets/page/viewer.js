// One clip holds its panels side by side (pipelines/media/comparison.py), so one video's frame is every
// panel's frame: nothing can get out of step. The frame is taken once, for a video may go on to its
// next between two lines of a script, and then cut apart and laid over.
const find = (name) => element.querySelector(name);
const video = find("video"), canvas = find("canvas"), split = find(".viewer-split");
const time = find(".viewer-time"), play = find(".viewer-play"), sound = find(".viewer-sound");
const context = canvas.getContext("2d"), tint = document.createElement("canvas");
const frame = document.createElement("canvas");
const colours = { mask: "#ff2d78", smoothed: "#ffb000", region: "#ff2d78" };
const names = { mask: "The mask", smoothed: "Where it was smoothed", region: "The region" };
const over = new Set();
let panels = [];

function layOver(index, colour, w, h) {
  // x (1 - a m) + a m c, by blending alone: first what is let through, then the colour.
  tint.width = w; tint.height = h;
  const brush = tint.getContext("2d");
  const mask = () => brush.drawImage(frame, index * w, 0, w, h, 0, 0, w, h);
  const blend = (mode) => { context.globalCompositeOperation = mode; context.drawImage(tint, 0, 0); };
  brush.fillStyle = "#fff"; brush.fillRect(0, 0, w, h);
  brush.globalCompositeOperation = "difference"; mask();
  context.globalAlpha = 0.55; blend("multiply");
  brush.globalCompositeOperation = "source-over"; mask();
  brush.globalCompositeOperation = "multiply"; brush.fillStyle = colour; brush.fillRect(0, 0, w, h);
  blend("lighter");
  context.globalAlpha = 1; context.globalCompositeOperation = "source-over";
}

function draw() {
  const w = Math.round(video.videoWidth / panels.length), h = video.videoHeight;
  if (!panels.length || !h) return;
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w; canvas.height = h;
    find(".viewer-stage").style.setProperty("--aspect", w / h);
  }
  if (frame.width !== video.videoWidth || frame.height !== h) { frame.width = video.videoWidth; frame.height = h; }
  frame.getContext("2d").drawImage(video, 0, 0);
  const edge = Math.round(w * split.value / 100), after = panels.indexOf("after") * w;
  context.drawImage(frame, after, 0, w, h, 0, 0, w, h);
  if (edge) context.drawImage(frame, 0, 0, edge, h, 0, 0, edge, h);
  for (const name of over) layOver(panels.indexOf(name), colours[name], w, h);
  context.fillStyle = "#fff"; context.fillRect(edge - 1, 0, 2, h);
  if (video.duration) time.value = 1000 * video.currentTime / video.duration;
}

function eachFrame() {
  draw();
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(eachFrame);
  else requestAnimationFrame(eachFrame);
}

function told() {
  const running = !video.paused;
  play.textContent = running ? "Pause" : "Play";
  play.setAttribute("aria-label", play.textContent);
}

function overlay(name) {
  const label = document.createElement("label"), box = document.createElement("input");
  box.type = "checkbox"; box.dataset.overlay = name;
  box.addEventListener("change", () => { over[box.checked ? "add" : "delete"](name); draw(); });
  label.append(box, " " + names[name]);
  label.style.setProperty("--tint", colours[name]);
  return label;
}

function load() {
  const given = props.value;
  find(".viewer-empty").hidden = !!given; find(".viewer-full").hidden = !given;
  over.clear();
  if (!given) { video.removeAttribute("src"); video.load(); panels = []; return; }
  panels = given.panels; sound.hidden = !given.sound; video.muted = true; sound.ariaPressed = "false";
  find(".viewer-overlays").replaceChildren(...panels.slice(2).map(overlay));
  video.src = given.video.url;
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) video.play().catch(() => {});
}

play.addEventListener("click", () => video.paused ? video.play() : video.pause());
sound.addEventListener("click", () => {
  video.muted = !video.muted; sound.setAttribute("aria-pressed", String(!video.muted));
});
time.addEventListener("input", () => { video.currentTime = time.value / 1000 * video.duration; });
split.addEventListener("input", draw);
const drag = (event) => {
  const box = canvas.getBoundingClientRect();
  split.value = 100 * (event.clientX - box.left) / box.width; draw();
};
canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); drag(event); });
canvas.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
for (const name of ["play", "pause"]) video.addEventListener(name, told);
for (const name of ["loadeddata", "seeked"]) video.addEventListener(name, draw);
watch("value", load);
eachFrame();
load();
