import { attemptLine } from "../prompts/view.ts";
import { standing } from "../search/standing.ts";
import { type Attempt, attemptOf, type RunState } from "../search/state.ts";
import { curve } from "../search/summary.ts";
import { type RunReport, yardstick } from "./facts.ts";
import { type Html, html } from "./html.ts";
import { type Outcome, outcomeOf, outcomes } from "./outcome.ts";
import { cut, duration, times } from "./words.ts";

/** Size of a picture and its margins, in its own units. */
const width = 760;
const height = 300;
const margin = { left: 62, right: 16, top: 16, bottom: 48 };

type Axis = { label: string; most: number; words: (value: number) => string };
type Point = { attempt: Attempt; x: number; best: number | null };

/** The best score over attempts, and over the wall clock: two pictures with every attempt in them, one of them shown. */
export function curveSection({ state }: RunReport): Html {
  const judged = curve(state);
  if (judged.length === 0) return html`<p>No attempt was judged.</p>`;
  const points = judged.map(({ attempt, best, atMs }, index) => ({
    attempt: attemptOf(state, attempt),
    best,
    order: index + 1,
    ms: atMs - state.startedAtMs,
  }));
  const latestMs = Math.max(...points.map(({ ms }) => ms), 1);
  const byAttempt = { label: "attempts, in the order of their verdicts", most: points.length, words: String };
  const byTime = { label: "wall clock since the run began", most: latestMs, words: duration };
  return html`<div class="views">
<input type="radio" name="curve" id="by-attempt" checked><label for="by-attempt">over attempts</label>
<input type="radio" name="curve" id="by-time"><label for="by-time">over wall clock</label>
<div class="by-attempt">${picture(
    state,
    byAttempt,
    points.map((point) => ({ ...point, x: point.order })),
  )}</div>
<div class="by-time">${picture(
    state,
    byTime,
    points.map((point) => ({ ...point, x: point.ms })),
  )}</div>
</div>
${legend(state, points)}`;
}

function picture(state: RunState, axis: Axis, points: readonly Point[]): Html {
  const guides = guidesOf(state);
  const top = Math.max(...points.map(({ best }) => best ?? 0), ...guides.map(({ score }) => score)) * 1.08;
  const x = (value: number) => round(margin.left + (value / axis.most) * (width - margin.left - margin.right));
  const y = (score: number) => round(height - margin.bottom - (score / top) * (height - margin.top - margin.bottom));
  const right = width - margin.right;
  const floor = y(0);
  const star = starred(state);
  const best = standing(state)?.score ?? null;
  const steps = points.flatMap((point, index) => {
    if (point.best === null) return [];
    const isFirst = (points[index - 1]?.best ?? null) === null;
    return [isFirst ? `M${x(point.x)} ${y(point.best)}` : `H${x(point.x)}V${y(point.best)}`];
  });
  return html`<svg class="curve" viewBox="0 0 ${width} ${height}" role="img" aria-label="Best score over ${axis.label}: ${best === null ? "no kernel stands" : `${times(best)} at the end`}. The table of attempts holds the same figures.">
${ticks(top, 5).map((score) => html`<path class="grid" d="M${margin.left} ${y(score)}H${right}"/><text class="tick" x="${margin.left - 8}" y="${y(score) + 4}" text-anchor="end">${tickWords(score)}×</text>`)}
${ticks(axis.most, 6)
  .filter((value) => value > 0 && Number.isInteger(value))
  .map(
    (value) =>
      html`<text class="tick" x="${x(value)}" y="${floor + 18}" text-anchor="middle">${axis.words(value)}</text>`,
  )}
<text class="tick" x="${right}" y="${height - 9}" text-anchor="end">${axis.label}</text>
${guides.map(({ score, kind }) => html`<path class="guide ${kind}" d="M${margin.left} ${y(score)}H${right}"/>`)}
<path class="best" d="${steps.join("")}${steps.length > 0 ? `H${right}` : ""}"/>
${inFront(points, star).map(({ attempt, x: at }) => {
  const outcome = outcomeOf(attempt.status);
  const kind = attempt === star ? `${outcome} star` : outcome;
  const shape = attempt === star ? starShape : outcomes[outcome].shape;
  return html`<path class="point ${kind}" transform="translate(${x(at)} ${y(attempt.score?.value ?? 0)})" d="${shape}"><title>${hover(attempt)}</title></path>`;
})}
</svg>`;
}

/** Points in the order in which they are drawn: one stands before all others. */
const inFront = (points: readonly Point[], star: Attempt | undefined): Point[] =>
  points.toSorted((a, b) => Number(a.attempt === star) - Number(b.attempt === star));

/** Scores that the run is held against. */
const guidesOf = (state: RunState) => [
  { score: 1, words: yardstick(state), kind: "reference" },
  ...(state.seed === null ? [] : [{ score: state.seed.score, words: "the kernel that it began with", kind: "seed" }]),
];

const hover = (attempt: Attempt): string => `${attempt.nodeId}: ${cut(attemptLine(attempt), 400)}`;

/** The attempt that brought the standing kernel; a kernel from before the run has none. */
const starred = (state: RunState): Attempt | undefined => {
  const best = standing(state);
  return best === null ? undefined : state.attempts.find(({ kernelId, score }) => kernelId === best.kernelId && score);
};

const starShape = "M0 -10L2.9 -3.4L10 -2.8L4.6 1.9L6.2 8.9L0 5.2L-6.2 8.9L-4.6 1.9L-10 -2.8L-2.9 -3.4Z";

function legend(state: RunState, points: readonly { attempt: Attempt }[]): Html {
  const best = standing(state);
  const star = starred(state);
  const used = (Object.keys(outcomes) as Outcome[]).flatMap((outcome) => {
    const number = points.filter(({ attempt }) => outcomeOf(attempt.status) === outcome).length;
    return number === 0 ? [] : [{ outcome, number }];
  });
  const key = (kind: string, shape: string) =>
    html`<svg class="key" viewBox="-11 -11 22 22" aria-hidden="true"><path class="${kind}" d="${shape}"/></svg>`;
  return html`<ul class="legend">
${used.map(({ outcome, number }) => html`<li>${key(`point ${outcome}`, outcomes[outcome].shape)} ${outcomes[outcome].words} <span class="quiet">${number}</span></li>`)}
${guidesOf(state).map(({ score, words, kind }) => html`<li>${key(`guide ${kind}`, "M-11 0H11")} ${words}, ${times(score)}</li>`)}
${best && star?.score ? html`<li>${key("point passed star", starShape)} attempt ${star.attempt}: ${times(star.score.value)} in the search, ${best.confirmed ? `${times(best.score)} confirmed` : "not confirmed"}</li>` : null}
</ul>`;
}

const round = (value: number): number => Math.round(value * 10) / 10;

/** About `wanted` round values from 0 up to `most`: steps of 1, 2 or 5 times a power of ten. */
function ticks(most: number, wanted: number): number[] {
  const rough = most / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, index) => index * step);
}

const tickWords = (score: number): string => `${Number(score.toPrecision(6))}`;
