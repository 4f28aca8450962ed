// Everything that is words and figures: KPIs, the map, hot slots, what changed, and the curves as a table. Text is always set
// as text, for names come from catalogues.

import { CLOCK, withUnit } from "./charts.js";

function make(name, text, of = {}) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(of)) {
    if (key === "tone") element.dataset.tone = value;
    else element[key] = value;
  }
  return element;
}

function head(...names) {
  const row = make("tr");
  for (const name of names) row.append(make("th", name, { scope: "col" }));
  const group = make("thead");
  group.append(row);
  return group;
}

/** Puts rows in; what has not changed is left alone, so that a reader's place in it is not lost. */
function fill(table, top, rows) {
  const body = make("tbody");
  body.append(...rows);
  const [oldTop, oldBody] = table.children;
  if (oldTop?.isEqualNode(top) && oldBody?.isEqualNode(body)) return;
  if (table.contains(document.activeElement) && oldTop?.isEqualNode(top)) {
    oldBody.replaceWith(body);
  } else {
    table.replaceChildren(top, body);
  }
}

function empty(columns, text) {
  const row = make("tr");
  row.append(make("td", text, { colSpan: columns, className: "empty" }));
  return row;
}

export function showKpis(list, kpis) {
  const cards = kpis.map((kpi) => {
    const card = make("div");
    const words = { good: "as it should be", warn: "look at it", bad: "not as it should be" };
    const value = make("dd", kpi.text, { className: "value", tone: kpi.tone });
    if (words[kpi.tone]) value.title = words[kpi.tone];
    const state = words[kpi.tone] && kpi.tone !== "good" ? `${words[kpi.tone]}; ${kpi.note}` : kpi.note;
    card.append(make("dt", kpi.name), value, make("dd", state, { className: "note" }));
    return card;
  });
  list.replaceChildren(...cards);
}

/** A row for each shard, a column for each node. */
export function showMap(table, map) {
  if (!map) {
    fill(table, head("shard"), [empty(1, "not known yet: no shard map has been heard of")]);
    return;
  }
  const top = head("shard");
  for (const node of map.nodes) {
    const cell = make("th", undefined, { scope: "col" });
    const name = `node ${node.id}`;
    cell.append(node.admin.startsWith("http://") ? make("a", name, { href: node.admin, rel: "noreferrer" }) : name);
    if (node.live === false) cell.append(make("br"), make("span", "no answer", { tone: "bad" }));
    top.firstChild.append(cell);
  }
  top.firstChild.append(make("th", "term", { scope: "col" }), make("th", "venues", { scope: "col" }));
  const rows = map.shards.map((shard) => {
    const row = make("tr");
    const name = make("th", shard.id === 0 ? "meta" : String(shard.id), { scope: "row" });
    if (shard.leader === null) {
      name.className = "lost";
      name.append(make("br"), "no leader");
    }
    row.append(name);
    for (const node of map.nodes) row.append(place(shard, node));
    const more = shard.venue_count - shard.venues.length;
    const venues = shard.venues.join(", ") + (more > 0 ? ` and ${more} more` : "");
    row.append(make("td", String(shard.term)), make("td", venues, { className: "venues" }));
    return row;
  });
  fill(table, top, rows);
}

function place(shard, node) {
  const replica = shard.replicas.find((replica) => replica.node === node.id);
  if (!replica) return make("td", "", { className: "none" });
  if (shard.leader === node.id) return make("td", "\u25cf leads", { className: "leads" });
  if (node.live === false) return make("td", "\u2715 gone", { className: "lost" });
  const lag = replica.lag ?? 0;
  if (lag > 1000) return make("td", `\u25d4 ${withUnit(lag, "count")} behind`, { className: "behind" });
  return make("td", "\u25cb follows", { className: "follows" });
}

export function showHot(table, hot) {
  const rows = hot.map((slot) => {
    const row = make("tr");
    const name = make("td", slot.slot);
    const bar = make("span", undefined, { className: "share" });
    bar.style.width = `${Math.round(slot.share * 100)}%`;
    bar.setAttribute("aria-hidden", "true");
    name.append(bar);
    const share = make("td", `${(slot.share * 100).toFixed(1)} %`, { className: "number" });
    row.append(make("td", slot.venue), name, make("td", withUnit(slot.per_second, "per_second"), { className: "number" }), share);
    return row;
  });
  fill(table, head("venue", "slot", "holds", "share"), rows.length ? rows : [empty(4, "nobody asks for a hold")]);
}

export function showChanges(list, changes) {
  const key = changes.map((change) => change.time + change.text).join("\n");
  if (list.dataset.shown === key) return;
  list.dataset.shown = key;
  if (changes.length === 0) {
    list.replaceChildren(make("li", "nothing since somebody began to look", { className: "empty" }));
    return;
  }
  list.replaceChildren(...changes.map((change) => {
    const item = make("li");
    const at = new Date(change.time);
    item.append(make("time", CLOCK.format(at), { dateTime: at.toISOString() }), make("span", change.text, { tone: change.tone }));
    return item;
  }));
}

/** Of each curve the last value, and the least, the mean and the most of what is shown. */
export function showFigures(table, state, seconds) {
  // It costs something, and nobody sees it.
  if (!table.closest("details").open) return;
  const last = state.times.at(-1) ?? 0;
  const from = Math.max(state.times.findIndex((time) => time >= last - seconds * 1000), 0);
  let curve = 0;
  const rows = [];
  for (const panel of state.panels) {
    for (const { name } of panel.curves) {
      const values = state.values[curve++].slice(from);
      const known = values.filter((value) => value !== null);
      const sum = known.reduce((sum, value) => sum + value, 0);
      const none = known.length === 0;
      const row = make("tr");
      row.append(make("th", `${panel.title}: ${name}`, { scope: "row" }));
      for (const value of [values.at(-1), none ? null : Math.min(...known), none ? null : sum / known.length, none ? null : Math.max(...known)]) {
        row.append(make("td", withUnit(value, panel.unit), { className: "number" }));
      }
      rows.push(row);
    }
  }
  fill(table, head("curve", "now", "least", "mean", "most"), rows);
}
