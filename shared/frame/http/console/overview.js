// How everything is, in words, colours and small charts.

import { get } from "./api.js";
import { Chart, remember, seen } from "./charts.js";
import { Failure, Heading, State, html, link, many, number, span, usePoll } from "./parts.js";

const BEHIND = 10;
const LATE = 180;
const OVER = new Set(["done", "cancelled"]);

/** The states, worst first. */
const ORDER = ["failing", "behind", "rebuilding", "unknown", "fine"];
export const worst = (states) => ORDER.find((state) => states.includes(state)) || "fine";

export const isRunning = (view) => view.rebuild !== null && !OVER.has(view.rebuild.step);

/** A read model's state, and why, each with where to look. */
export function stateOf(view) {
  if (view.wrong.length) return ["failing", view.wrong.join(" ")];
  if (!view.lag) return ["failing", "It has no container that can be read."];
  if (view.drift && view.drift.found) return ["failing", `${many(view.drift.found, "document")} found that the log would make otherwise.`];
  if (view.lag.unapplied && view.lag.oldestAge > BEHIND) return ["behind", `${many(view.lag.unapplied, "event")} not shown yet, the oldest for ${span(view.lag.oldestAge)}.`];
  if (isRunning(view)) return ["rebuilding", `Generation ${view.rebuild.generation} is ${view.rebuild.step}.`];
  if (view.lag.unexamined) return ["unknown", `${many(view.lag.unexamined, "event")} yet to be looked for.`];
  return ["fine", view.lag.unapplied ? `${many(view.lag.unapplied, "event")} on the way.` : "All that happened is shown."];
}

export function outboxState(outbox) {
  if (!outbox.waiting) return ["fine", "Nothing waits to be published."];
  const told = `${many(outbox.waiting, "event")} not published yet, the oldest for ${span(outbox.oldestAge)}.`;
  return [outbox.oldestAge > LATE ? "failing" : outbox.oldestAge > BEHIND ? "behind" : "fine", told];
}

export function subscriptionState(subscription) {
  if (!subscription.count) return ["fine", "No dead letters."];
  const many = subscription.count >= 1000 ? "At least 1,000" : number(subscription.count);
  return ["failing", `${many} dead ${subscription.count === 1 ? "letter" : "letters"}.`];
}

/** Look at the parts; what cannot be read is a problem of its own and hides nothing else. */
async function look(signal, rarely) {
  const asked = { views: "ops/projections", outbox: "ops/outbox" };
  if (rarely.due()) Object.assign(asked, { health: "health/ready", letters: "ops/dead-letters?take=1" });
  const problems = {};
  await Promise.all(Object.entries(asked).map(async ([name, path]) => {
    try {
      rarely.last[name] = await get(path, signal);
    } catch (problem) {
      if (problem.name === "AbortError") throw problem;
      problems[name] = problem;
      delete rarely.last[name];
    }
  }));
  for (const name of ["health", "letters"]) if (!(name in asked) && rarely.problems[name]) problems[name] = rarely.problems[name];
  rarely.problems = problems;
  if (problems.views && [0, 401, 403].includes(problems.views.status)) throw problems.views;
  const found = { ...rarely.last, problems };
  note(found);
  return found;
}

const rarely = {
  last: {},
  problems: {},
  at: 0,
  due() {
    if (Date.now() - this.at < 29000) return false;
    this.at = Date.now();
    return true;
  },
};

function note(found) {
  const views = found.views ? found.views.items : [];
  const ages = views.filter((view) => view.lag).map((view) => view.lag.oldestAge || 0);
  const newest = views.length ? views.reduce((sum, view) => sum + (view.lag ? view.lag.newest : 0), 0) : null;
  const before = seen.at(-1);
  const at = Date.now() / 1000;
  const known = before && before.newest !== null && newest !== null && newest >= before.newest;
  remember({
    at,
    newest,
    events: known ? (newest - before.newest) / (at - before.at) : null,
    lag: ages.length ? Math.max(...ages) : null,
    waiting: found.outbox ? found.outbox.items.reduce((sum, each) => sum + each.waiting, 0) : null,
    dead: found.letters ? found.letters.subscriptions.reduce((sum, each) => sum + each.count, 0) : null,
    failed: Object.keys(found.problems).length,
  });
}

export function Overview() {
  const { data, problem, at, reload } = usePoll((signal) => look(signal, rarely), 10, []);
  const problems = data ? data.problems : {};
  return html`<${Heading} title="Overview" at=${at} />
    <${Failure} problem=${problem} retry=${reload} />
    ${Object.values(problems).map((each) => html`<${Failure} problem=${each} />`)}
    ${data ? html`<${Summary} data=${data} />
    <div class="columns">
      <${ReadModels} found=${data.views} /><${Outboxes} found=${data.outbox} /><${Letters} found=${data.letters} />
    </div>
    <h2>Since this page is open</h2>
    <p class="faint">A point every ten seconds, for at most an hour, kept by this tab alone. What was before, and orders per second, errors and lag by percentile, are in the workbook and in Application Insights.</p>
    <div class="charts">
      <${Chart} title="Events" rows=${seen} unit=${(value) => `${Number(value.toFixed(1))}/s`} series=${[{ name: "per second", of: (row) => row.events, colour: "--fine" }]} />
      <${Chart} title="Oldest event that is not shown" rows=${seen} unit=${span} series=${[{ name: "age", of: (row) => row.lag, colour: "--behind" }]} />
      <${Chart} title="Given up or waiting" rows=${seen} unit=${number} series=${[{ name: "dead letters", of: (row) => row.dead, colour: "--failing" }, { name: "in the outbox", of: (row) => row.waiting, colour: "--rebuilding" }]} />
      <${Chart} title="Looks that failed" rows=${seen} unit=${number} series=${[{ name: "of four", of: (row) => row.failed, colour: "--failing" }]} />
    </div>` : null}`;
}

function Summary({ data }) {
  const states = [
    ...(data.views ? data.views.items.map((view) => stateOf(view)[0]) : ["failing"]),
    ...(data.outbox ? data.outbox.items.map((outbox) => outboxState(outbox)[0]) : ["failing"]),
    ...(data.letters ? data.letters.subscriptions.map((each) => subscriptionState(each)[0]) : ["failing"]),
    ...(data.health && data.health.status === "ready" ? ["fine"] : ["failing"]),
  ];
  const state = worst(states);
  const words = {
    fine: "Everything is fine.",
    behind: "Commands are taken; what is shown is behind.",
    rebuilding: "A read model is being rebuilt. What serves goes on serving.",
    failing: "Something needs a person. Look at what is red.",
    unknown: "Not everything has been looked at yet.",
  };
  return html`<div class=${`banner ${state}`} role="status"><${State} state=${state}>${words[state]}<//>
    ${data.health ? html`<span class="faint">health: ${data.health.status}</span>` : null}
    ${data.health && data.health.wrong.length ? html`<ul>${data.health.wrong.map((each) => html`<li>${each}</li>`)}</ul>` : null}</div>`;
}

const Row = ({ name, detail, states, href }) => html`<li>
  <div class="row"><a href=${href}>${name}</a> <${State} state=${states[0]} /></div>
  <p>${states[1]}${detail ? html` <span class="faint">${detail}</span>` : null}</p></li>`;

const Card = ({ title, children, found }) => html`<section class="card"><h2>${title}</h2>
  ${found ? html`<ul class="plain">${children}</ul>` : html`<p class="faint">Cannot be read now.</p>`}</section>`;

const ReadModels = ({ found }) => html`<${Card} title="Read models" found=${found}>${found && found.items.map((view) => html`
  <${Row} name=${view.view} href=${link("read-models")} states=${stateOf(view)}
    detail=${view.serving === null ? "" : `generation ${view.serving}${view.standby === null ? "" : `, ${view.standby} beside it`}`} />`)}<//>`;

const Outboxes = ({ found }) => html`<${Card} title="Outboxes" found=${found}>${found && found.items.map((outbox) => html`
  <${Row} name=${outbox.context} href=${link("overview")} states=${outboxState(outbox)} detail=${`to ${outbox.topic}`} />`)}<//>`;

const Letters = ({ found }) => html`<${Card} title="Subscriptions" found=${found}>${found && found.subscriptions.map((each) => html`
  <${Row} name=${each.subscription} href=${link("dead-letters", { subscription: each.subscription })} states=${subscriptionState(each)} detail=${`taken in by ${each.consumer}`} />`)}<//>`;
