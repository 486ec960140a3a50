// Why something is as it is: what happened, what became of it, what is missing, and what would mend it.

import { get, post, query } from "./api.js";
import { AuditTable } from "./audit.js";
import { Failure, Heading, Id, Json, State, When, go, html, link, many, number, span, useEffect, useMemo, usePoll, useRef, useState } from "./parts.js";
import { ProcessOf } from "./processes.js";

const ON_ITS_WAY = 30;
const REACHES = [10000, 100000];

export function Why({ parameters }) {
  const { of = "" } = parameters;
  const field = useRef(null);
  const look = (event) => {
    event.preventDefault();
    const wanted = field.current.value.trim();
    if (wanted) go("why", { of: wanted });
  };
  return html`<${Heading} title="Why" at=${null} quiet=${true} />
    <form class="row search" onSubmit=${look}>
      <label>An id <input ref=${field} key=${of} type="search" defaultValue=${of} size="44" spellcheck="false" autocomplete="off" required maxlength="255" /></label>
      <button type="submit" class="primary">Look</button>
    </form>
    ${of ? html`<${Found} key=${of} of=${of} parameters=${parameters} />` : html`<p class="faint">Of an aggregate (anything that has a history of its own); of a message (its event); of a command, or its idempotency key; or of a conversation (the correlation id of an answer, a log line, a dead letter).</p>`}`;
}

function Found({ of, parameters }) {
  const reach = REACHES.includes(Number(parameters.reach)) ? Number(parameters.reach) : REACHES[0];
  const after = Number(parameters.after) || 0;
  const { data, problem, at, reload } = usePoll((signal) => get(`ops/events${query({ of, after, reach })}`, signal), 10, [of, after, reach]);
  const letters = usePoll((signal) => get("ops/dead-letters?take=250", signal), 30, [of]);
  const dead = useMemo(() => deadOf(letters.data), [letters.data]);
  if (!data) return html`<${Failure} problem=${problem} retry=${reload} />${problem ? null : html`<p>Looking…</p>`}`;
  const turn = (to) => go("why", { ...parameters, after: to || "" });
  return html`<${Failure} problem=${problem} retry=${reload} /><${Failure} problem=${letters.problem} />
    <p class="faint" role="status">${found(data, of, reach)} As of <${When} at=${at} />.</p>
    ${data.kind === "nothing" && reach < REACHES.at(-1) ? html`<p><button type="button" onClick=${() => go("why", { ...parameters, reach: REACHES.at(-1) })}>Look through the newest ${number(REACHES.at(-1))} of each</button></p>` : null}
    ${data.events.length ? html`
      <${Verdict} data=${data} dead=${dead} reload=${reload} />
      <${Strip} events=${data.events} />
      <${Timeline} data=${data} dead=${dead} />
      <p class="row">${after ? html`<button type="button" onClick=${() => turn(0)}>← From the beginning</button>` : null}
        ${data.next === null ? null : html`<button type="button" onClick=${() => turn(data.next)}>Later events →</button>`}</p>
      ${[...new Set(data.documents.map((document) => document.processAt).filter(Boolean))].map((path) => html`<${ProcessOf} key=${path} path=${path} />`)}
      ${data.documents.map((document) => html`<${Document} key=${document.view + document.documentId} state=${document} parameters=${parameters} reload=${reload} />`)}
      ${data.aggregatesLeftOut ? html`<p>The documents of ${many(data.aggregatesLeftOut, "aggregate")} were not all looked for: those whose events come first. Each is found by its own id.</p>` : null}
      <${Told} ids=${[...new Set(data.events.flatMap((event) => [event.aggregateId, event.eventId]))]} />
      <${Unrecorded} event=${data.events.at(-1)} />` : null}`;
}

function found(data, of, reach) {
  if (data.kind === "aggregate") {
    const contexts = [...new Set(data.events.map((event) => event.context))];
    return `${many(data.events.length, "event")} of one ${contexts.join(" aggregate, and of one ")} aggregate.`;
  }
  if (data.kind === "command") {
    const callers = new Set(data.events.map((event) => event.actor)).size; // a key belongs to its caller
    return `${many(data.events.length, "event")} of ${callers > 1 ? `commands of ${callers} callers` : "one command"}${data.more ? "; later ones are left out" : ""}.`;
  }
  if (data.kind === "other") return `${many(data.events.length, "event")} among the newest ${number(reach)} of each context${data.more ? "; older ones are left out" : ""}.`;
  return `Nothing is called ${of}: no aggregate or command, and nothing among the newest ${number(reach)} events of each context.`;
}

function deadOf(listing) {
  const dead = new Map();
  for (const each of listing ? listing.subscriptions : []) {
    for (const item of each.items) {
      const id = item.event ? item.event.eventId : item.messageId;
      dead.set(id, [...(dead.get(id) || []), { ...item, subscription: each.subscription }]);
    }
  }
  return dead;
}

const age = (moment) => (Date.now() - new Date(moment)) / 1000;

/** What is missing, and what would mend it: [state, sentence, mend, document]. */
export function findings(data, dead) {
  const told = [];
  for (const event of data.events) {
    const name = `${event.type} (version ${event.version})`;
    const letters = dead.get(event.eventId) || [];
    if (!event.publishedAt && age(event.occurredAt) > 2) {
      const state = age(event.occurredAt) > 180 ? "failing" : "behind";
      told.push({ state, event, what: `${name} waits in the outbox of ${event.context}, for ${span(age(event.occurredAt))}.`, mend: "It is sent by itself as soon as Service Bus takes it: see docs/operations.md, “unpublished-events”." });
    }
    for (const letter of letters) {
      told.push({ state: "failing", event, letter, what: `${letter.subscription} gave ${name} up after ${many(letter.deliveries, "delivery", "deliveries")}: ${letter.reason || "no reason given"}.`, mend: "Mend the cause, then replay it." });
    }
    for (const showing of event.showings.filter((each) => !each.shown)) {
      if (!event.publishedAt || letters.length) continue;
      const waits = age(event.publishedAt);
      const document = data.documents.find((each) => each.view === showing.view && each.documentId === showing.documentId);
      if (waits < ON_ITS_WAY) told.push({ state: "behind", event, what: `${name} is on its way to ${showing.view}.`, mend: "Wait a moment." });
      else told.push({ state: "failing", event, document, what: `${showing.view} does not show ${name}, which was published ${span(waits)} ago.`, mend: "If the view is behind as a whole, wait, or see docs/operations.md, “projection-lag”. Else heal this partition." });
    }
  }
  for (const view of data.unreadable) told.push({ state: "unknown", what: `${view} cannot be read now, so what it shows is not known.`, mend: "See docs/operations.md, “server-errors”." });
  return told;
}

function Verdict({ data, dead, reload }) {
  const told = findings(data, dead);
  const shownNowhere = data.events.some((event) => !event.showings.length);
  if (!told.length) {
    return html`<p class="banner fine"><${State} state="fine">Every event here is published${data.documents.length && !data.aggregatesLeftOut ? ", and shown" : ""}. None is missing.<//>${shownNowhere && data.documents.length ? html`<span class="faint">Some of them no read model shows.</span>` : null}</p>`;
  }
  return html`<section class="card wide" aria-label="what is missing"><h2>What is missing, and what would mend it</h2>
    <ul class="plain">${told.slice(0, 20).map((each) => html`<li><div class="row"><span><${State} state=${each.state} /> ${each.what}</span>
      ${each.letter ? html`<a class="button" href=${link("dead-letters", { subscription: each.letter.subscription, text: each.event.eventId, after: each.letter.sequenceNumber - 1 || "" })}>To the dead letter</a>` : null}</div>
      <p class="faint">${each.mend}</p>
      ${each.document ? html`<${Mend} document=${each.document} reload=${reload} />` : null}</li>`)}</ul>
    ${told.length > 20 ? html`<p>And ${number(told.length - 20)} more.</p>` : null}</section>`;
}

/** Hold a partition against the log, and make it what the log says: both are safe to repeat. */
function Mend({ document, reload }) {
  const [work, setWork] = useState({ busy: false, problem: null, told: null });
  const id = (document.partitionKey.match(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i) || [])[0];
  if (!id) return html`<p><a href=${link("read-models")}>To the read models</a></p>`;
  const act = async (heal) => {
    setWork({ busy: true, problem: null, told: null });
    try {
      const path = `ops/projections/${encodeURIComponent(document.view)}`;
      let status = await post(`${path}/check`, { ids: [id], sample: 0 });
      if (heal) status = await post(`${path}/heal`);
      const differences = status.drift ? status.drift.differences : [];
      setWork({ busy: false, problem: null, told: differences.length ? `Differs: ${differences.map((each) => `${each.documentId} (${each.what})`).join(", ")}.` : heal ? "Healed: it is as the log makes it." : "The partition is as the log makes it." });
      reload();
    } catch (problem) {
      setWork({ busy: false, problem, told: null });
    }
  };
  return html`<p class="row"><button type="button" disabled=${work.busy} onClick=${() => act(false)}>Check partition</button>
    <button type="button" class="primary" disabled=${work.busy} onClick=${() => act(true)}>${work.busy ? "…" : "Check and heal"}</button>
    ${work.told ? html`<span role="status">${work.told}</span>` : null}</p><${Failure} problem=${work.problem} />`;
}

/** When each event occurred, to scale. */
function Strip({ events }) {
  if (events.length < 2) return null;
  const times = events.map((event) => new Date(event.occurredAt).getTime());
  const first = Math.min(...times), whole = Math.max(Math.max(...times) - first, 1);
  const place = (time) => 12 + (976 * (time - first)) / whole;
  return html`<figure class="chart strip"><figcaption><strong>When</strong> <span class="faint">${many(events.length, "event")} within ${span(whole / 1000)}, to scale</span></figcaption>
    <svg viewBox="0 0 1000 34" role="img" aria-label=${`${events.length} events within ${span(whole / 1000)}`} preserveAspectRatio="none">
      <line x1="12" x2="988" y1="17" y2="17" />${events.map((event, index) => html`<rect x=${place(times[index]) - 2} y="5" width="4" height="24" rx="1"><title>${`${event.type}, ${event.occurredAt}`}</title></rect>`)}</svg>
    <div class="row ends faint"><${When} at=${events[0].occurredAt} /><${When} at=${events.at(-1).occurredAt} /></div></figure>`;
}

/** What became of one event: [name, moment, kind], as time goes by. */
function steps(event) {
  return [
    ...(event.publishedAt ? [["published", event.publishedAt, "published"]] : []),
    ...event.received.map((each) => [`taken in by ${each.context}`, each.at, "received"]),
    ...event.showings.filter((each) => each.at && each.shown).map((each) => [`shown by ${each.view}`, each.at, "shown"]),
  ].sort((one, other) => new Date(one[1]) - new Date(other[1]));
}

const after = (event, moment) => Math.max((new Date(moment) - new Date(event.occurredAt)) / 1000, 0);

function Timeline({ data, dead }) {
  const usual = data.events.flatMap((event) => steps(event).map(([, moment]) => after(event, moment))).sort((a, b) => a - b);
  const longest = usual.at(-1) || 0.001;
  let before = null;
  return html`<section aria-label="timeline"><div class="row"><h2>What happened</h2>
      <span class="key"><i class="published"></i>published</span><span class="key"><i class="received"></i>taken in</span><span class="key"><i class="shown"></i>shown</span>
      <span class="faint">bars are to one scale, of ${span(longest)}</span></div>
    <ol class="timeline">${data.events.map((event) => {
      const gap = before ? (new Date(event.occurredAt) - new Date(before.occurredAt)) / 1000 : null;
      before = event;
      return html`${gap !== null && gap > 0 ? html`<li class="gap faint">${span(gap)} later</li>` : null}<${Event} key=${event.eventId} event=${event} longest=${longest} letters=${dead.get(event.eventId) || []} />`;
    })}</ol></section>`;
}

function Event({ event, longest, letters }) {
  const [open, setOpen] = useState(false);
  const state = letters.length ? "failing" : !event.publishedAt || event.showings.some((each) => !each.shown) ? "behind" : "fine";
  const became = steps(event);
  return html`<li class="event"><details onToggle=${(toggled) => setOpen(toggled.target.open)}>
    <summary><span class="what"><${State} state=${state}>${letters.length ? "given up" : !event.publishedAt ? "in the outbox" : state === "behind" ? "not shown" : event.showings.length ? "shown" : "published"}<//>
      <strong>${event.type}</strong> <span class="faint">v${event.version} · ${event.context} · <${When} at=${event.occurredAt} /></span></span>
      <span class="bar" aria-hidden="true">${became.map(([name, moment, kind]) => html`<i class=${kind} title=${`${name} after ${span(after(event, moment))}`} style=${{ left: `${Math.min((after(event, moment) / longest) * 99, 99)}%` }}></i>`)}</span></summary>
    <dl class="facts">
      <dt>Command</dt><dd><${Id} value=${event.commandId} short=${false} what="command id" />, by <${Id} value=${event.actor} why=${false} what="actor" />, at <${When} at=${event.occurredAt} /></dd>
      ${event.publishedAt ? null : html`<dt>Published</dt><dd>not yet</dd>`}
      ${became.map(([name, moment]) => html`<dt>${name}</dt><dd><${When} at=${moment} />, ${span(after(event, moment))} after it occurred</dd>`)}
      ${event.showings.filter((each) => !each.at || !each.shown).map((each) => html`<dt>${each.shown ? `shown by ${each.view}` : each.view}</dt><dd>${each.shown ? "since before a rebuild, or as it was healed: when is not known" : "does not show it"}</dd>`)}
      ${letters.map((each) => html`<dt>Given up</dt><dd class="words">by ${each.subscription}, after ${many(each.deliveries, "delivery", "deliveries")}: ${each.reason}. ${each.description}</dd>`)}
      <dt>Message</dt><dd><${Id} value=${event.eventId} short=${false} what="message id" /></dd>
      <dt>About</dt><dd><${Id} value=${event.aggregateId} short=${false} /></dd>
      <dt>Conversation</dt><dd><${Id} value=${event.correlationId} short=${false} what="correlation id" /></dd>
      ${event.causationId === event.commandId ? null : html`<dt>Because of</dt><dd><${Id} value=${event.causationId} short=${false} what="causation id" /></dd>`}
      ${event.traceparent ? html`<dt>Trace</dt><dd><${Id} value=${event.traceparent.split("-")[1] || event.traceparent} why=${false} short=${false} what="trace id" /></dd>` : null}
    </dl>${open ? html`<${Deliveries} event=${event} /><${Saying} event=${event} />` : null}</details></li>`;
}

const KEPT = 3600;

/** How an event was delivered, attempt by attempt, where processes noted it. */
function Deliveries({ event }) {
  const young = age(event.occurredAt) < KEPT; // more may be noted
  const { data, problem } = usePoll((signal) => get(`ops/deliveries${query({ eventId: event.eventId })}`, signal), young ? 20 : 0, [event.eventId]);
  if (problem) return html`<${Failure} problem=${problem} />`;
  if (!data) return null;
  if (!data.items.length) return html`<p class="faint">No delivery of it is on record: ${age(event.occurredAt) > KEPT ? "they are kept for an hour" : "the first twenty of a minute and those that fail are noted, within half a minute"}. See “What the system does not record”.</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="deliveries"><table><caption>Deliveries</caption>
    <thead><tr><th scope="col">To</th><th scope="col" class="n">Attempt</th><th scope="col">At</th><th scope="col" class="n">Took</th><th scope="col" class="n">Request units</th><th scope="col">Outcome</th></tr></thead>
    <tbody>${data.items.map((each) => html`<tr><td>${each.subscription}</td><td class="n">${each.attempt}</td><td><${When} at=${each.at} /></td><td class="n">${span(each.seconds)}</td><td class="n">${number(each.requestUnits)}</td>
      <td>${each.error ? html`<${State} state="failing">${each.error}<//>` : html`<${State} state="fine">taken in as version ${event.version}<//>`}</td></tr>`)}</tbody></table></div>`;
}

/** What an event says, where the API tells it to its reader. */
function Saying({ event }) {
  const { data, problem } = usePoll((signal) => (event.saidAt ? get(event.saidAt, signal) : Promise.resolve(null)), 0, [event.saidAt]);
  if (!event.saidAt) return html`<p class="faint">What it says, no operation of the API tells.</p>`;
  if (problem) return html`<${Failure} problem=${problem} />`;
  return data && data.events.length ? html`<${Json} value=${data.events[0].data} />` : null;
}

/** The document now, and as of a version; differences are marked. */
function Document({ state, parameters, reload }) {
  const past = Boolean(state.readAsOf);
  const version = Number(parameters.version) || state.logged;
  const path = state.readAt;
  const now = usePoll((signal) => (path && state.version ? get(path, signal) : Promise.resolve(null)), 0, [path, state.version]);
  const then = usePoll((signal) => (past ? get(state.readAsOf.replace("{version}", version), signal) : Promise.resolve(null)), 0, [state.readAsOf, version]);
  const behind = state.version === null || state.version < state.logged;
  const choose = (event) => go("why", { ...parameters, version: event.target.value }, true);
  return html`<section class="card wide" aria-label=${`document of ${state.view}`}>
    <div class="row"><h2>The document in ${state.view}</h2><${State} state=${behind ? "behind" : "fine"}>${state.version === null ? "not there" : `version ${state.version}`}<//></div>
    <p><${Id} value=${state.documentId} why=${false} short=${false} /> in the partition <${Id} value=${state.partitionKey} short=${false} />. The log, as far as it is shown here, is at version ${state.logged}.</p>
    <${Mend} document=${state} reload=${() => { reload(); now.reload(); }} />
    <${Failure} problem=${now.problem} retry=${now.reload} />
    ${past ? html`<p class="row"><label>As of version <input type="number" min="1" max=${state.logged} value=${version} onChange=${choose} /></label>
      <input type="range" aria-label="as of version" min="1" max=${state.logged} value=${version} onChange=${choose} /></p><${Failure} problem=${then.problem} />` : null}
    ${path ? html`<${Compared} now=${now.data} then=${then.data} version=${version} both=${past} />` : html`<p class="faint">What it says, no operation of the API tells by this id.</p>`}
  </section>`;
}

function flat(value, path = "", into = new Map()) {
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value);
    if (!entries.length) into.set(path, Array.isArray(value) ? "[]" : "{}");
    for (const [name, each] of entries) flat(each, path ? `${path}/${name}` : name, into);
  } else {
    into.set(path, JSON.stringify(value));
  }
  return into;
}

function Compared({ now, then, version, both }) {
  const [one, other] = [flat(now || {}), flat(then || {})];
  if (!now && !then) return null;
  const names = [...new Set([...other.keys(), ...one.keys()])].filter(Boolean);
  const differs = (name) => both && now && then && one.get(name) !== other.get(name);
  const count = names.filter(differs).length;
  return html`${both && now && then ? html`<p role="status">${count ? html`<${State} state="behind">${many(count, "difference")}<//>` : html`<${State} state="fine">no difference<//>`} between now and version ${version} as the log makes it.</p>` : null}
    <div class="scroll" tabindex="0" role="region" aria-label="properties"><table class="compared"><thead><tr><th scope="col">Property</th><th scope="col">Now</th>${both ? html`<th scope="col">As of version ${version}</th>` : null}</tr></thead>
    <tbody>${names.slice(0, 400).map((name) => html`<tr class=${differs(name) ? "differs" : ""}><th scope="row"><code>${name}</code>${differs(name) ? html` <span class="mark">differs</span>` : null}</th>
      <td><code>${now ? one.get(name) ?? "–" : ""}</code></td>${both ? html`<td><code>${then ? other.get(name) ?? "–" : ""}</code></td>` : null}</tr>`)}</tbody></table></div>
    ${names.length > 400 ? html`<p class="faint">And ${number(names.length - 400)} more properties.</p>` : null}`;
}

function Told({ ids }) {
  const { data } = usePoll((signal) => get("ops/audit?take=100", signal), 0, [ids.join()]);
  const items = data ? data.items.filter((each) => { const text = JSON.stringify(each); return ids.some((id) => text.includes(id)); }).slice(0, 10) : [];
  return items.length ? html`<h2>What operators did with it</h2><${AuditTable} items=${items} />` : null;
}

function Unrecorded({ event }) {
  const kusto = `union AppRequests, AppDependencies, AppTraces, AppExceptions\n| where OperationId == "${(event.traceparent || "").split("-")[1] || "TRACE"}"\n| project TimeGenerated, Type, Name, DurationMs, ResultCode, Properties\n| sort by TimeGenerated asc`;
  return html`<details><summary>What the system does not record</summary>
    <p>Deliveries of over an hour ago, and of a busy minute all but the first; commands that were refused. In Azure, Application Insights has them, for as long as it keeps traces; each delivery is a span <code>process …</code> with its attempt (<code>messaging.servicebus.message.delivery_count</code>) and its request units (<code>tandem.cosmos.request_units</code>):</p>
    <pre tabindex="0">${kusto}</pre></details>`;
}
