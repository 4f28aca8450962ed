// Keeps what the server said, and draws it. The server sends a `state` with everything, then a `tick` each second; when the
// stream breaks the figures are shown as old, and it is opened again.

import { Charts } from "./charts.js";
import { showChanges, showFigures, showHot, showKpis, showMap } from "./tables.js";

const EVENTS = "/overview/events";
/** Seconds that are kept. */
const KEPT = 900;
/** Without a word for so many milliseconds the stream is given up. */
const SILENCE = 5000;
/** Before a stream that was given up is opened again. */
const AGAIN = 2000;

const at = (id) => document.getElementById(id);
const charts = new Charts(at("panels"));

let state = null;
let source = null;
let heard = Date.now();
let paused = false;

function link(text, tone) {
  const element = at("link");
  // Only what is new is said aloud.
  if (element.textContent !== text) element.textContent = text;
  element.dataset.tone = tone;
  document.body.dataset.link = tone;
}

function draw() {
  if (paused || state === null) return;
  const { kind, name, version } = state.process;
  at("who").textContent = `Rotunda ${kind} ${name}`;
  at("version").textContent = version;
  document.title = `Rotunda ${kind} ${name}`;
  showKpis(at("kpis"), state.kpis);
  showMap(at("map"), state.map);
  showHot(at("hot"), state.hot);
  showChanges(at("changes"), state.changes);
  const seconds = Number(at("span").value);
  charts.draw(state, seconds);
  showFigures(at("figures"), state, seconds);
}

function take(tick) {
  if (state === null) return;
  state.times.push(tick.time);
  state.values.forEach((values, n) => values.push(tick.values[n] ?? null));
  const surplus = state.times.length - KEPT;
  if (surplus > 0) {
    state.times.splice(0, surplus);
    state.values.forEach((values) => values.splice(0, surplus));
  }
  const { kpis, map, hot, changes } = tick;
  Object.assign(state, { kpis, map, hot, changes });
}

function hear(event, what) {
  heard = Date.now();
  const told = JSON.parse(event.data);
  if (what === "state") {
    state = told;
  } else {
    take(told);
  }
  link(paused ? "live, the page is paused" : "live", "good");
  draw();
}

function open() {
  heard = Date.now();
  source = new EventSource(EVENTS);
  source.addEventListener("state", (event) => hear(event, "state"));
  source.addEventListener("tick", (event) => hear(event, "tick"));
  source.addEventListener("error", () => {
    link("no connection: these figures are old. Trying again", "bad");
    // The browser comes back by itself after a break, and not where it was refused.
    if (source.readyState === EventSource.CLOSED) reopen();
  });
}

function reopen() {
  source.close();
  source = null;
  setTimeout(open, AGAIN);
}

setInterval(() => {
  if (source !== null && source.readyState === EventSource.OPEN && Date.now() - heard > SILENCE) {
    link("nothing heard for a while: these figures are old. Trying again", "bad");
    reopen();
  }
}, 1000);

at("span").addEventListener("change", draw);
at("pause").addEventListener("click", () => {
  paused = !paused;
  at("pause").setAttribute("aria-pressed", String(paused));
  draw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  charts.forget();
  draw();
});

open();
