// How everything is, in words, colours and small charts.

import { get } from "./api.js";
import { Chart, hour, remember, seen } from "./charts.js";
import { Failure, Heading, State, html, link, many, number, span, usePoll } from "./parts.js";

const BEHIND = 10;
const LATE = 180;
const LATELY = 300;
const ALARMING = 10;
const OVER = new Set(["done", "cancelled"]);

/** The states, worst first. */
const SEVERITY = ["failing", "behind", "rebuilding", "unknown", "fine"];
export const worst = (states) => SEVERITY.find((state) => states.includes(state)) || "fine";

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
  if (subscription.closed) return ["failing", `Its consumer gets nothing: ${subscription.closed}.`];
  if (subscription.unanswered) return ["failing", "Service Bus does not answer for it: whether it has dead letters is not known."];
  if (!subscription.count) return ["fine", "No dead letters."];
  const many = subscription.count >= 1000 ? "At least 1,000" : number(subscription.count);
  return ["failing", `${many} dead ${subscription.count === 1 ? "letter" : "letters"}.`];
}

export function processState(overdue) {
  const count = overdue.items.length;
  if (!count) return ["fine", "None is past its deadline."];
  return ["failing", `${overdue.next === null ? many(count, "process", "processes") : `More than ${number(count)} processes`} past ${count === 1 ? "its" : "their"} deadline.`];
}

/** Look at the parts; what cannot be read is a problem of its own and hides nothing else. */
async function look(signal, rarely) {
  const asked = { views: "ops/projections", outbox: "ops/outbox" };
  const due = rarely.due();
  if (due) Object.assign(asked, { health: "health/ready", letters: "ops/dead-letters?take=1", ...(rarely.hasProcesses ? { overdue: `ops/processes?take=100&due=${new Date().toISOString()}` } : {}), history: `ops/history?minutes=${rarely.unheard()}` });
  const problems = {};
  await Promise.all(Object.entries(asked).map(async ([name, path]) => {
    try {
      rarely.last[name] = await get(path, signal);
    } catch (problem) {
      if (problem.name === "AbortError") throw problem;
      if (name === "overdue" && problem.status === 404) {
        rarely.hasProcesses = false; // this system has none
        return;
      }
      problems[name] = problem;
      delete rarely.last[name];
    }
  }));
  if (asked.history && rarely.last.history) keep(rarely.last.history.items);
  for (const name of ["health", "letters", "history", "overdue"]) if (!(name in asked) && rarely.problems[name]) problems[name] = rarely.problems[name];
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
  hasProcesses: true,
  heard: 0,
  /** Minutes of history to ask for: what was not heard of yet, and what may have grown since. */
  unheard() {
    return Math.min(Math.ceil((Date.now() - this.heard) / 60000) + 3, 60);
  },
};

/** What the system has told of the last hour, by minutes. */
const told = new Map();

function keep(items) {
  rarely.heard = Date.now();
  for (const item of items) told.set(new Date(item.at).getTime() / 60000, item);
  const oldest = Date.now() / 60000 - 62;
  for (const minute of told.keys()) if (minute < oldest) told.delete(minute);
}

function note(found) {
  const views = found.views ? found.views.items : [];
  const ages = views.filter((view) => view.lag).map((view) => view.lag.oldestAge || 0);
  remember({
    at: Date.now() / 1000,
    lag: ages.length ? Math.max(...ages) : null,
    waiting: found.outbox ? found.outbox.items.reduce((sum, each) => sum + each.waiting, 0) : null,
    dead: found.letters && !found.letters.subscriptions.some((each) => each.unanswered) ? found.letters.subscriptions.reduce((sum, each) => sum + each.count, 0) : null,
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
      <${ReadModels} found=${data.views} /><${Outboxes} found=${data.outbox} /><${Letters} found=${data.letters} /><${Load} found=${data.history} overdue=${data.overdue} />
    </div>
    <${LastHour} />
    <h2>Since this page is open</h2>
    <p class="faint">A point every ten seconds, kept by this tab alone.</p>
    <div class="charts">
      <${Chart} title="Oldest event that is not shown" rows=${seen} unit=${span} series=${[{ name: "age", of: (row) => row.lag, colour: "--behind" }]} />
      <${Chart} title="Given up or waiting" rows=${seen} unit=${number} series=${[{ name: "dead letters", of: (row) => row.dead, colour: "--failing" }, { name: "in the outbox", of: (row) => row.waiting, colour: "--rebuilding" }]} />
    </div>` : null}`;
}

const rate = (value) => `${Number(value.toFixed(value < 1 ? 2 : 1))}/s`;
const lagOf = (name, part) => (row) => { const found = row.subscriptions.find((each) => each.subscription === name); return found ? found[part] : null; };
const sum = (rows, of) => rows.reduce((all, row) => all + of(row), 0);
const failures = (row) => sum(row.subscriptions, (each) => each.failed);

/** What the system says of the last hour; of all its processes, by minutes. */
function LastHour() {
  const rows = hour(told);
  const names = [...new Set(rows.flatMap((row) => row.subscriptions.map((each) => each.subscription)))].sort();
  return html`<section aria-label="the last hour"><h2>The last hour</h2>
    <div class="charts">
      <${Chart} whole title="Commands" rows=${rows} unit=${rate} series=${[
        { name: "accepted", of: (row) => row.accepted / 60, colour: "--fine" },
        { name: "refused by the rules", of: (row) => row.refused / 60, colour: "--behind" }]} />
      <${Chart} whole title="Events taken in" rows=${rows} unit=${rate} series=${[{ name: "all subscriptions", of: (row) => sum(row.subscriptions, (each) => each.taken) / 60, colour: "--rebuilding" }]} />
      <${Chart} whole title="Errors a minute" rows=${rows} unit=${number} series=${[
        { name: "answers", of: (row) => row.errors, colour: "--failing" },
        { name: "deliveries", of: failures, colour: "--behind" }]} />
      <${Chart} whole title="Turned away for overload, a minute" rows=${rows} unit=${number} series=${[{ name: "requests", of: (row) => row.overloaded, colour: "--failing" }]} />
      ${names.map((name) => html`<${Chart} key=${name} whole title=${`Lag of ${name}`} rows=${rows} unit=${span} series=${[
        { name: "p50", of: lagOf(name, "p50"), colour: "--fine" },
        { name: "p99", of: lagOf(name, "p99"), colour: "--behind" }]} />`)}
    </div></section>`;
}

/** Few are no state of anything; the word says how many. */
const wordOf = (count) => (count ? (count > ALARMING ? "many" : "some") : "fine");

/** What was turned away or ended in an error within the last five minutes; who asked too soon makes no state. */
function loadState() {
  const rows = [...told.entries()].filter(([minute]) => minute * 60 > Date.now() / 1000 - LATELY - 60).map(([, row]) => row);
  const [errors, overloaded, failed, tooSoon] = [sum(rows, (row) => row.errors), sum(rows, (row) => row.overloaded), sum(rows, failures), sum(rows, (row) => row.tooSoon || 0)];
  return { tooSoon, states: {
    overloaded: [overloaded > ALARMING ? "failing" : overloaded ? "behind" : "fine", overloaded ? `${many(overloaded, "request")} turned away in the last five minutes.` : "Nobody was turned away in the last five minutes.", wordOf(overloaded)],
    errors: [errors > ALARMING ? "failing" : errors ? "behind" : "fine", errors ? `${many(errors, "answer")} of 500 and more in the last five minutes.` : "No errors in the last five minutes.", wordOf(errors)],
    failed: [failed ? "behind" : "fine", failed ? `${many(failed, "delivery", "deliveries")} failed in the last five minutes; an event comes again, ten times at most.` : "No delivery failed in the last five minutes.", wordOf(failed)],
  } };
}

function Load({ found, overdue }) {
  const rows = hour(told);
  const { tooSoon, states } = loadState();
  const inAll = (of) => `${number(sum(rows, of))} in the last hour`;
  return html`<${Card} title="Load and deadlines" found=${found}>
    <${Row} name="Overload" states=${states.overloaded} detail=${inAll((row) => row.overloaded)} />
    <li><div class="row"><span>Asked too soon</span> <span class="faint">${tooSoon ? "no failure" : "none"}</span></div>
      <p>${tooSoon ? `${many(tooSoon, "request")} in the last five minutes; the caller alone is why, and nobody else notices.` : "Nobody in the last five minutes."} <span class="faint">${inAll((row) => row.tooSoon || 0)}</span></p></li>
    <${Row} name="Answers" states=${states.errors} detail=${inAll((row) => row.errors)} />
    <${Row} name="Deliveries" states=${states.failed} detail=${inAll(failures)} />
    ${overdue ? html`<${Row} name="Deadlines" href=${link("processes", { overdue: "yes" })} states=${processState(overdue)} />` : null}
  <//>`;
}

function Summary({ data }) {
  const states = [
    ...(data.views ? data.views.items.map((view) => stateOf(view)[0]) : ["failing"]),
    ...(data.outbox ? data.outbox.items.map((outbox) => outboxState(outbox)[0]) : ["failing"]),
    ...(data.letters ? data.letters.subscriptions.map((each) => subscriptionState(each)[0]) : ["failing"]),
    ...(data.history ? Object.values(loadState().states).map(([state]) => state) : ["failing"]),
    ...(rarely.hasProcesses ? [data.overdue ? processState(data.overdue)[0] : "failing"] : []),
    ...(data.health && data.health.status === "ready" ? ["fine"] : ["failing"]),
  ];
  const state = worst(states);
  const words = {
    fine: "Everything is fine.",
    behind: "Commands are taken. Look at what is amber.",
    rebuilding: "A read model is being rebuilt. What serves goes on serving.",
    failing: "Something needs a person. Look at what is red.",
    unknown: "Not everything has been looked at yet.",
  };
  return html`<div class=${`banner ${state}`} role="status"><${State} state=${state}>${words[state]}<//>
    ${data.health ? html`<span class="faint">health: ${data.health.status}</span>` : null}
    ${data.health && data.health.wrong.length ? html`<ul>${data.health.wrong.map((each) => html`<li>${each}</li>`)}</ul>` : null}</div>`;
}

const Row = ({ name, detail, states, href }) => html`<li>
  <div class="row">${href ? html`<a href=${href}>${name}</a>` : html`<span>${name}</span>`} <${State} state=${states[0]}>${states[2]}<//></div>
  <p>${states[1]}${detail ? html` <span class="faint">${detail}</span>` : null}</p></li>`;

const Card = ({ title, children, found }) => html`<section class="card"><h2>${title}</h2>
  ${found ? html`<ul class="plain">${children}</ul>` : html`<p class="faint">Cannot be read now.</p>`}</section>`;

const ReadModels = ({ found }) => html`<${Card} title="Read models" found=${found}>${found && found.items.map((view) => html`
  <${Row} name=${view.view} href=${link("read-models")} states=${stateOf(view)}
    detail=${view.serving === null ? "" : `generation ${view.serving}${view.standby === null ? "" : `, ${view.standby} beside it`}`} />`)}<//>`;

const Outboxes = ({ found }) => html`<${Card} title="Outboxes" found=${found}>${found && found.items.map((outbox) => html`
  <${Row} name=${outbox.context} states=${outboxState(outbox)} detail=${`to ${outbox.topic}`} />`)}<//>`;

const Letters = ({ found }) => html`<${Card} title="Subscriptions" found=${found}>${found && found.subscriptions.map((each) => html`
  <${Row} name=${each.subscription} href=${link("dead-letters", { subscription: each.subscription })} states=${subscriptionState(each)} detail=${`taken in by ${each.consumer}`} />`)}<//>`;
