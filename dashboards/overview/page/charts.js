// The curves, by uPlot. Colours come from the style sheet; curves of one picture differ by dashes too.

const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
const HEIGHT = 170;

const SHORT = new Intl.NumberFormat("en", { maximumFractionDigits: 1, notation: "compact" });

/** The time of day, as the reader's machine has it. */
export const CLOCK = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** A value with its unit, for people. */
export function withUnit(value, unit) {
  if (value === null || value === undefined) return "-";
  switch (unit) {
    case "per_second": return `${SHORT.format(value)}/s`;
    case "milliseconds": return `${SHORT.format(value)} ms`;
    case "bytes": return value < 1048576 ? `${SHORT.format(value / 1024)} KiB` : `${SHORT.format(value / 1048576)} MiB`;
    default: return SHORT.format(value);
  }
}

export class Charts {
  #where;
  #drawn = [];
  #shape = "";

  constructor(where) {
    this.#where = where;
  }

  /** The next `draw` begins anew. */
  forget() {
    this.#shape = "";
  }

  draw(state, seconds) {
    const shape = JSON.stringify(state.panels);
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#build(state.panels);
    }
    const last = state.times.at(-1) ?? Date.now();
    const from = state.times.findIndex((time) => time >= last - seconds * 1000);
    const begin = from < 0 ? 0 : from;
    const times = state.times.slice(begin).map((time) => time / 1000);
    let curve = 0;
    for (const { plot, panel } of this.#drawn) {
      const values = panel.curves.map(() => state.values[curve++].slice(begin));
      plot.setData([times, ...values], false);
      plot.batch(() => {
        plot.setScale("x", { min: last / 1000 - seconds, max: last / 1000 });
        plot.setScale("y", { min: 0, max: highest(values) });
      });
    }
  }

  #build(panels) {
    for (const { plot, watch } of this.#drawn) {
      watch.disconnect();
      plot.destroy();
    }
    this.#where.replaceChildren();
    this.#drawn = panels.map((panel) => {
      const figure = document.createElement("figure");
      figure.className = "panel";
      const caption = document.createElement("figcaption");
      const title = document.createElement("strong");
      title.textContent = panel.title;
      const about = document.createElement("span");
      about.textContent = panel.about;
      caption.append(title, about);
      const room = document.createElement("div");
      figure.append(caption, room);
      this.#where.append(figure);
      const plot = new uPlot(options(panel, room.clientWidth), [[], ...panel.curves.map(() => [])], room);
      const canvas = room.querySelector("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${panel.title}: ${panel.about} The figures are in the table below.`);
      const watch = new ResizeObserver(() => plot.setSize({ width: room.clientWidth, height: HEIGHT }));
      watch.observe(room);
      return { plot, panel, watch };
    });
  }
}

/** A little more than the highest value, so that a flat curve is not at the edge. */
function highest(values) {
  let most = 0;
  for (const curve of values) {
    for (const value of curve) {
      if (value !== null && value > most) most = value;
    }
  }
  return most === 0 ? 1 : most * 1.1;
}

function options(panel, width) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const axis = { stroke: colour("faint"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
  return {
    width,
    height: HEIGHT,
    cursor: { drag: { x: false, y: false } },
    legend: { live: true },
    scales: { x: { time: true, auto: false }, y: { auto: false } },
    axes: [
      { ...axis, space: 90, values: (_, ticks) => ticks.map((time) => CLOCK.format(time * 1000)) },
      { ...axis, size: 64, values: (_, ticks) => ticks.map((value) => withUnit(value, panel.unit)) },
    ],
    series: [
      { label: "time", value: (plot, time) => CLOCK.format((time ?? plot.data[0].at(-1) ?? 0) * 1000) },
      ...panel.curves.map((curve, n) => ({
        label: curve.name,
        stroke: colour(curve.tone),
        dash: DASHES[n % DASHES.length],
        width: 2,
        points: { show: false },
        value: (plot, value, series, at) => {
          const shown = at === null ? plot.data[series].at(-1) : value;
          return withUnit(shown, panel.unit);
        },
      })),
    ],
  };
}
