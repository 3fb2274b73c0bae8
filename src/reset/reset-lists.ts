import { toClassRow } from '../classes/class-row.js';
import type { ClassifiedNamespace } from '../classes/classes.service.js';
import type { ClassDecision } from '../classes/data-class.js';
import type { ResetLists } from './reset.entity.js';

/** What a reset does with each collection. A view has no documents of its own and is never wiped; what nobody has decided stays. */
export function listsOf(all: readonly ClassifiedNamespace[]): ResetLists {
  const rows = all.map(toClassRow);
  const isWiped = ({ kind, resettable }: (typeof rows)[number]): boolean => resettable && kind !== 'view';
  const counters = all.flatMap(({ namespace: { name, kind, documents }, decision }) =>
    kind === 'collection' && decision?.counter != null && !decision.resettable ? [{ name, documents, field: decision.counter.field, resetTo: decision.counter.resetTo }] : [],
  );
  const counted = new Set(counters.map(({ name }) => name));
  return {
    wiped: rows.filter(isWiped),
    preserved: rows.filter((row) => row.dataClass !== null && !isWiped(row) && !counted.has(row.name)),
    undecided: rows.filter(({ dataClass }) => dataClass === null),
    counters,
  };
}

/** Names of which the rules say something else now than what the person was shown. */
export function changedSince({ wiped, counters }: ResetLists, now: ReadonlyMap<string, ClassDecision | null>): string[] {
  return [
    ...wiped.flatMap(({ name }) => (now.get(name)?.resettable === true ? [] : [name])),
    ...counters.flatMap(({ name, field, resetTo }) => {
      const counter = now.get(name)?.counter;
      return counter?.field === field && counter.resetTo === resetTo ? [] : [name];
    }),
  ];
}
