// What subscriptions gave up on: read it, give it to its consumer again, or throw it away.

import { get, post, query } from "./api.js";
import { AuditTable } from "./audit.js";
import { subscriptionState } from "./overview.js";
import { Confirm, Failure, Heading, Id, State, When, go, html, link, number, span, usePoll, useRef, useState } from "./parts.js";

const PAGE = 100;
const AT_ONCE = 100;
const REACHES = [1000, 10000];
const GONE = new Set(["replayed", "discarded"]);

export function DeadLetters({ parameters }) {
  const overview = usePoll((signal) => get("ops/dead-letters?take=1", signal), 30, []);
  const subscriptions = overview.data ? overview.data.subscriptions : [];
  const full = subscriptions.find((each) => each.count);
  const chosen = parameters.subscription || (full || subscriptions[0] || {}).subscription;
  return html`<${Heading} title="Dead letters" at=${overview.at} />
    <${Failure} problem=${overview.problem} retry=${overview.reload} />
    <nav class="chips" aria-label="subscriptions">${subscriptions.map((each) => html`
      <a href=${link("dead-letters", { subscription: each.subscription })} aria-current=${each.subscription === chosen ? "true" : undefined}>
        ${each.subscription} <${State} state=${subscriptionState(each)[0]}>${each.closed ? "closed" : each.unanswered ? "no answer" : each.count >= 1000 ? "1,000+" : number(each.count)}<//></a>`)}</nav>
    ${chosen ? html`<${Subscription} key=${chosen} subscription=${chosen} parameters=${parameters} changed=${overview.reload} />` : null}`;
}

function Subscription({ subscription, parameters, changed }) {
  const after = Number(parameters.after) || 0;
  const { reason = "", text = "" } = parameters;
  const filtered = Boolean(reason || text);
  const reach = filtered || Number(parameters.reach) === REACHES[1] ? REACHES[1] : REACHES[0];
  const [trail, setTrail] = useState([]);
  const [picked, setPicked] = useState(new Set());
  const [asking, setAsking] = useState(null);
  const [work, setWork] = useState(null);
  const stopped = useRef(false);
  const wanted = query({ subscription, after: after || "", take: PAGE, reason, find: text, reach });
  const { data, problem, reload } = usePoll((signal) => get(`ops/dead-letters${wanted}`, signal), reach > REACHES[0] ? 120 : 30, [wanted]);
  const listing = data ? data.subscriptions[0] : null;
  const filter = (name) => (event) => { setTrail([]); go("dead-letters", { ...parameters, subscription, after: "", [name]: event.target.value.trim() }, true); };
  const numbers = [...picked];
  const turn = (to, path) => {
    setTrail(path);
    go("dead-letters", { ...parameters, subscription, after: to || "" });
  };
  const carryOut = async (what, body) => {
    stopped.current = false;
    await settle(what, { subscription, ...body }, setWork, stopped);
    if (!body.dryRun) {
      setPicked(new Set());
      reload();
      changed();
    }
  };
  const start = (what, body) => carryOut(what, body).catch((error) => setWork((before) => ({ ...before, problem: error, running: false })));
  const all = { ...(reason ? { reason } : {}), ...(after ? { after } : {}) };
  const running = Boolean(work && work.running);
  const none = running || Boolean(text) || !(listing && listing.count);
  const unpicked = running || !numbers.length;
  return html`
    <${Failure} problem=${problem} retry=${reload} />
    <form class="row filter" onSubmit=${(event) => event.preventDefault()}>
      <label>Reason <select value=${reason} onChange=${filter("reason")}><option value="">any</option>
        ${reasonsOf(listing, reason).map((each) => html`<option value=${each.reason} selected=${each.reason === reason}>${each.reason}${each.count === null ? "" : ` (${number(each.count)})`}</option>`)}</select></label>
      <label>Find <input type="search" key=${text} defaultValue=${text} onChange=${filter("text")} placeholder="id, type, words; Enter" maxlength="200" /></label>
    </form>
    <p class="row actions">
      <span role="status" class="count">${numbers.length ? `${number(numbers.length)} selected` : listing ? counted(listing, filtered, reach) : "Looking…"}</span>
      ${numbers.length ? html`<button type="button" disabled=${running} onClick=${() => setPicked(new Set())}>Select none</button>` : null}
      ${listing && !filtered && listing.lookedThrough === REACHES[0] ? html`<button type="button" onClick=${() => go("dead-letters", { ...parameters, subscription, reach: REACHES[1] }, true)}>Count up to ${number(REACHES[1])}</button>` : null}
      <button type="button" disabled=${unpicked} onClick=${() => start("replay", { messages: numbers, dryRun: true })}>Dry run of selected</button>
      <button type="button" class="primary" disabled=${unpicked} onClick=${() => setAsking("replay")}>Replay selected…</button>
      <button type="button" class="danger" disabled=${unpicked} onClick=${() => setAsking("discard")}>Discard selected…</button>
      <button type="button" disabled=${none} onClick=${() => start("replay", { ...all, dryRun: true })}>Dry run of all</button>
      <button type="button" disabled=${none} onClick=${() => setAsking("all")}>Replay all${reason ? " with this reason" : ""}…</button>
    </p>
    ${work ? html`<${Work} work=${work} close=${() => setWork(null)} stop=${() => { stopped.current = true; }} />` : null}
    ${listing && listing.closed ? html`<p class="banner"><${State} state="failing">Its consumer gets nothing: ${listing.closed}. See docs/operations.md, “silent-timer”.<//></p>` : null}
    ${listing && !listing.closed && !listing.count ? (filtered ? html`<p>None of these fits the filter.</p>` : html`<p class="banner fine"><${State} state="fine">No dead letters here${after ? ", from here on" : ""}.<//></p>`) : null}
    ${listing && listing.items.length ? html`<${Letters} items=${listing.items} picked=${picked} pick=${setPicked} />` : null}
    ${listing ? html`<p class="row">
      <button type="button" disabled=${!after} onClick=${() => turn(trail.at(-1) || 0, trail.slice(0, -1))}>← Older</button>
      <button type="button" disabled=${listing.next === null} onClick=${() => turn(listing.next, [...trail, after])}>Newer →</button></p>` : null}
    <${Beside} subject=${subscription} stamp=${work && !work.running ? work.items.length : 0} />
    ${asking ? html`<${Asking} asking=${asking} numbers=${numbers} subscription=${subscription} reason=${reason} all=${all} close=${() => setAsking(null)} start=${start} />` : null}`;
}

function counted(listing, filtered, reach) {
  const more = listing.lookedThrough === reach ? " or more" : "";
  if (filtered) return `${number(listing.count)} of ${number(listing.lookedThrough)}${more} from here on`;
  return `${number(listing.count)}${more} from here on`;
}

/** The reasons to choose from; the chosen one among them, also where no letter from here on has it. */
function reasonsOf(listing, chosen) {
  const known = (listing ? listing.reasons : []).filter((each) => each.reason);
  return !chosen || known.some((each) => each.reason === chosen) ? known : [{ reason: chosen, count: null }, ...known];
}

/** Send requests until nothing remains, or somebody stops it; tells after each answer what was done. */
async function settle(what, body, tell, stopped) {
  const { messages, ...rest } = body;
  const told = (items, remaining, running) => tell({ what, dryRun: Boolean(body.dryRun), items, remaining, running });
  let items = [];
  if (messages) {
    const keys = [...messages].sort((one, other) => one - other);
    for (let done = 0; done < keys.length && !stopped.current; done += AT_ONCE) {
      told(items, keys.length - done, true);
      const answer = await post(`ops/dead-letters/${what}`, { ...rest, messages: keys.slice(done, done + AT_ONCE) });
      items = [...items, ...answer.items];
      const left = Math.max(keys.length - done - AT_ONCE, 0);
      told(items, left, left > 0 && !stopped.current);
    }
    return;
  }
  let next = body.after || 0;
  told(items, 0, true);
  while (next !== null) {
    const answer = await post(`ops/dead-letters/${what}`, { ...rest, after: next });
    items = [...items, ...answer.items];
    const further = !body.dryRun && !stopped.current && answer.next !== null && answer.next > next;
    told(items, answer.remaining, further);
    next = further ? answer.next : null;
  }
}

function Work({ work, close, stop }) {
  const counts = Object.entries(Object.groupBy(work.items, (each) => each.result)).map(([result, some]) => [result, some.length]);
  const unwell = work.items.filter((each) => !GONE.has(each.result) && each.result !== "chosen");
  return html`<section class="card wide" role="status">
    <div class="row"><h2>${work.dryRun ? "Dry run: nothing was done" : work.running ? `${work.what}…` : `${work.what}: done`}</h2>
      ${work.running ? html`<button type="button" onClick=${stop}>Stop</button>` : html`<button type="button" onClick=${close}>Close</button>`}</div>
    ${work.running || !work.dryRun ? html`<progress max=${Math.max(work.items.length + work.remaining, 1)} value=${work.running && !work.items.length ? undefined : work.items.length} aria-label="dead letters dealt with"></progress>` : null}
    <p>${counts.map(([result, count]) => html`<${State} state=${GONE.has(result) || result === "chosen" ? "fine" : "failing"}>${number(count)} ${result}<//> `)}${work.remaining ? html`<span>${number(work.remaining)}${work.remaining >= REACHES[0] ? " or more" : ""} remain.</span>` : null}</p>
    <${Failure} problem=${work.problem} />
    ${unwell.length ? html`<div class="scroll" tabindex="0" role="region" aria-label="what was not done"><table><thead><tr><th scope="col">Number</th><th scope="col">Message</th><th scope="col">Result</th><th scope="col">Why</th></tr></thead>
      <tbody>${unwell.slice(0, 100).map((each) => html`<tr><td>${each.sequenceNumber}</td><td><${Id} value=${each.messageId} /></td><td>${each.result}</td><td class="words">${each.detail}</td></tr>`)}</tbody></table></div>` : null}
  </section>`;
}

function Asking({ asking, numbers, subscription, reason, all, close, start }) {
  const count = `${numbers.length} dead ${numbers.length === 1 ? "letter" : "letters"}`;
  if (asking === "discard") {
    return html`<${Confirm} title=${`Discard ${count}`} phrase="discard" verb="Discard" reason danger close=${close}
        act=${async (why) => { start("discard", { messages: numbers, why }); }}>
      <p>Gone for good. The events stay in the log; a projection gets them from there when it needs them, a copy in SQL does not.</p><//>`;
  }
  return html`<${Confirm} title=${asking === "all" ? `Replay all${reason ? ` with the reason ${reason}` : ""}` : `Replay ${count}`} phrase="replay" verb="Replay" close=${close}
      act=${async () => { start("replay", asking === "all" ? all : { messages: numbers }); }}>
    <p>Each is given to the consumer of <strong>${subscription}</strong>, and to no other. Nothing is applied twice. What fails again stays.</p><//>`;
}

function Letters({ items, picked, pick }) {
  const every = items.length > 0 && items.every((each) => picked.has(each.sequenceNumber));
  const toggle = (number) => {
    const next = new Set(picked);
    if (!next.delete(number)) next.add(number);
    pick(next);
  };
  return html`<div class="scroll" tabindex="0" role="region" aria-label="dead letters"><table>
    <thead><tr>
      <th scope="col"><input type="checkbox" aria-label="select all on this page" checked=${every} onChange=${() => pick(new Set(every ? [...picked].filter((each) => !items.some((item) => item.sequenceNumber === each)) : [...picked, ...items.map((each) => each.sequenceNumber)]))} /></th>
      <th scope="col">Event</th><th scope="col">About</th><th scope="col">Reason</th><th scope="col" class="n">Deliveries</th><th scope="col" class="n">Age</th></tr></thead>
    <tbody>${items.map((each) => html`<${Letter} key=${each.sequenceNumber} letter=${each} on=${picked.has(each.sequenceNumber)} toggle=${toggle} />`)}</tbody>
  </table></div>`;
}

function Letter({ letter, on, toggle }) {
  const { event } = letter;
  const name = event ? `${event.type} version ${event.version}` : "what is no event of ours";
  return html`<tr class=${on ? "on" : ""}>
    <td><input type="checkbox" aria-label=${`select ${name}, number ${letter.sequenceNumber}`} checked=${on} onChange=${() => toggle(letter.sequenceNumber)} /></td>
    <td><details><summary>${event ? html`${event.type} <span class="faint">v${event.version}</span>` : html`<em>no event of ours</em>`}</summary>
      <dl class="facts">
        <dt>Number</dt><dd>${letter.sequenceNumber}</dd>
        <dt>Message</dt><dd><${Id} value=${letter.messageId} short=${false} /></dd>
        ${event ? html`<dt>Occurred</dt><dd><${When} at=${event.occurredAt} /></dd>
        <dt>Correlation</dt><dd><${Id} value=${event.correlationId} short=${false} /></dd><dt>Actor</dt><dd><${Id} value=${event.actor} short=${false} why=${false} /></dd>` : null}
        <dt>Enqueued</dt><dd><${When} at=${letter.enqueuedAt} /></dd>
        <dt>Description</dt><dd class="words">${letter.description || "–"}</dd>
        ${letter.text ? html`<dt>Begins</dt><dd class="words"><code>${letter.text}</code></dd>` : null}
      </dl></details></td>
    <td>${event ? html`<${Id} value=${event.aggregateId} />` : "–"}</td>
    <td class="words">${letter.reason || "–"}</td><td class="n">${number(letter.deliveries)}</td><td class="n" title=${`${letter.enqueuedAt} (UTC)`}>${span(letter.age)}</td></tr>`;
}

function Beside({ subject, stamp }) {
  const { data } = usePoll((signal) => get("ops/audit?take=100", signal), 0, [subject, stamp]);
  const items = data ? data.items.filter((each) => each.subject === subject).slice(0, 10) : [];
  if (!items.length) return null;
  return html`<h2>What was done here</h2><${AuditTable} items=${items} />`;
}
