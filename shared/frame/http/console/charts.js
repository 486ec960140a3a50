// Charts of numbers over time: the last hour as the system tells it, and what this tab has seen, which nothing else keeps.

import { html, useEffect, useRef } from "./parts.js";

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const HOUR = 3600;
const MOST = 720;
const HEIGHT = 124;

/** Rows of {at, ...numbers}, oldest first. They live as long as the tab. */
export const seen = [];

export function remember(row) {
  seen.push(row);
  while (seen.length > MOST || seen[0].at < row.at - HOUR) seen.shift();
}

const NOTHING = { accepted: 0, replayed: 0, refused: 0, failed: 0, overloaded: 0, tooSoon: 0, errors: 0, processes: 0, subscriptions: [] };

/** The last hour: a row for each minute that is over, by its number; a minute that nobody tells of is one in which nothing was done. */
export function hour(told) {
  const last = Math.floor(Date.now() / 60000) - 1;
  return Array.from({ length: 60 }, (_, index) => last - 59 + index).map((minute) => ({ ...(told.get(minute) || NOTHING), at: minute * 60 }));
}

const theHour = () => [Date.now() / 1000 - HOUR - 60, Date.now() / 1000];

/** All that the tab has seen, and five minutes at least. */
function sinceOpen(rows) {
  const last = rows.length ? rows.at(-1).at : Date.now() / 1000;
  return [Math.min(rows.length ? rows[0].at : last, last - 300), last];
}

/** A chart of one or more of the numbers; `series` is [{name, of: row => number | null, colour}]. */
export function Chart({ title, rows, series, unit, whole = false }) {
  const place = useRef(null);
  const chart = useRef(null);
  const current = useRef({});
  const data = [rows.map((row) => row.at), ...series.map((each) => rows.map(each.of))];
  current.current = { rows, data };
  useEffect(() => {
    const draw = () => {
      if (chart.current) chart.current.destroy();
      chart.current = drawn(place.current, series, unit, () => (whole ? theHour() : sinceOpen(current.current.rows)), current.current.data);
    };
    draw();
    const sized = new ResizeObserver(() => chart.current.setSize({ width: width(place.current), height: HEIGHT }));
    sized.observe(place.current);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    return () => { sized.disconnect(); dark.removeEventListener("change", draw); chart.current.destroy(); chart.current = null; };
  }, [document.documentElement.dataset.theme, series.length]);
  useEffect(() => { if (chart.current) chart.current.setData(data); });
  const last = (of) => { const values = rows.map(of).filter((value) => value !== null); return values.length ? unit(values.at(-1)) : "–"; };
  const told = series.map((each) => `${each.name} ${last(each.of)}`).join(", ");
  return html`<figure class="chart">
    <figcaption><strong>${title}</strong> ${series.map((each) => html`<span class="key"><i class=${each.colour.slice(2)}></i>${each.name} ${last(each.of)}</span>`)}</figcaption>
    <div ref=${place} role="img" aria-label=${`${title}, last: ${told}`}></div>
  </figure>`;
}

const width = (place) => Math.max(place.clientWidth, 200);

function drawn(place, series, unit, range, data) {
  const colours = getComputedStyle(document.documentElement);
  const rule = colours.getPropertyValue("--rule");
  const axis = { stroke: colours.getPropertyValue("--faint"), grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 }, font: "11px system-ui" };
  return new uPlot({ // eslint-disable-line no-undef
    width: width(place),
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { x: { range }, y: { range: (_u, _low, high) => [0, high > 0 ? high * 1.15 : 1] } },
    axes: [
      { ...axis, space: 70, size: 28, values: (_u, values) => values.map((value) => CLOCK.format(value * 1000)) },
      { ...axis, size: 62, values: (_u, values) => values.map((value) => unit(value)) },
    ],
    series: [{}, ...series.map((each) => ({ label: each.name, stroke: colours.getPropertyValue(each.colour), width: 2, spanGaps: false, points: { show: true, size: 3, fill: colours.getPropertyValue(each.colour) } }))],
  }, data, place);
}
