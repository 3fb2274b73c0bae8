import { AppError } from '#errors';
import type { ExpectedNamespace, SetAsideNamespace, StagedDatabase, StagedNamespace, SwapPlan, SwapStep } from '../port.js';
import type { NamespaceDefinition } from './catalogue.js';
import { collectionSpec } from './collection-spec.js';
import { oldName } from './names.js';
import { isDocument, parseOrdered, sameValue, type OrderedDocument, type OrderedValue } from './ordered-bson.js';

/** Throws LIVE_CHANGED if a namespace came, went or was replaced since `expected` was read. */
export function requireUnchanged(live: readonly ExpectedNamespace[], expected: readonly ExpectedNamespace[]): void {
  const uuids = new Map(expected.map(({ name, uuid }) => [name, uuid]));
  for (const { name, uuid } of live) {
    if (!uuids.has(name)) throw new AppError('LIVE_CHANGED', `Collection "${name}" was created since the plan was made`);
    if (uuids.get(name) !== uuid) throw new AppError('LIVE_CHANGED', `Collection "${name}" was replaced since the plan was made`);
    uuids.delete(name);
  }
  for (const name of uuids.keys()) throw new AppError('LIVE_CHANGED', `Collection "${name}" was dropped since the plan was made`);
}

/**
 * Every step that makes the live database the staged one. Live and staged of one collection follow each other, so that
 * a name is missing for two renames only; views come after the collections that they may read, time series last since they are
 * copied, and TTL when everything is in place.
 */
export function decideSteps(database: string, operationId: string, staged: StagedDatabase, live: readonly NamespaceDefinition[], firstOld = 0): SwapPlan {
  const old = live.map((state, index): SetAsideNamespace => {
    const { name, kind, options, indexes } = state;
    const moved = kind === 'view' ? null : oldName(operationId, firstOld + index);
    return { name, kind, old: moved, uuid: kind === 'collection' ? state.uuid : null, options, ...(kind === 'timeseries' ? { indexes } : {}) };
  });
  const liveByName = new Map(live.map((state, index) => [state.name, { state, old: old[index]?.old ?? null }]));
  const stagedByName = new Map(staged.namespaces.map((namespace) => [namespace.name, namespace]));
  const views = viewChanges(staged.namespaces, live);

  const pairs: SwapStep[] = [];
  const afterTimeseries: SwapStep[] = [];
  const timeseries: SwapStep[] = [];
  for (const name of [...new Set([...liveByName.keys(), ...stagedByName.keys()])].sort()) {
    const from = liveByName.get(name);
    const to = stagedByName.get(name);
    if (from?.state.kind === 'collection') pairs.push({ kind: 'setAside', name, old: known(from.old), uuid: known(from.state.uuid) });
    if (from?.state.kind === 'timeseries' && to?.kind !== 'timeseries') {
      const drop: SwapStep = { kind: 'dropTimeseries', name, liveUuid: known(from.state.uuid), oldBuckets: known(from.old) };
      (to === undefined ? timeseries : afterTimeseries).push(drop);
    }
    if (to?.kind === 'collection') {
      const promote: SwapStep = { kind: 'promote', name, staged: known(to.staged), uuid: known(to.uuid) };
      (from?.state.kind === 'timeseries' ? afterTimeseries : pairs).push(promote);
    }
    if (to?.kind === 'timeseries') {
      const replaced = from?.state.kind === 'timeseries' ? from : undefined;
      timeseries.push({
        kind: 'timeseries',
        name,
        options: to.options,
        indexes: to.indexes,
        stagedBuckets: known(to.staged),
        stagedUuid: known(to.uuid),
        liveUuid: replaced?.state.uuid ?? null,
        oldBuckets: replaced?.old ?? null,
      });
    }
  }
  const steps = [...views.drop, ...pairs, ...afterTimeseries, ...views.make, ...timeseries, ...timeToLive(staged.namespaces)];
  return { database, steps, old };
}

interface View {
  readonly name: string;
  readonly text: string;
  readonly options: OrderedDocument;
}

/**
 * A changed view is changed in place. It is dropped and made again only if its collation changes, which collMod cannot do, or
 * if it and another changed view know each other: one by one they could form a cycle on the way.
 */
function viewChanges(staged: readonly StagedNamespace[], live: readonly NamespaceDefinition[]): { readonly drop: SwapStep[]; readonly make: SwapStep[] } {
  const wanted = viewsOf(staged);
  const present = viewsOf(live);
  const changed = [...wanted.values()].filter(({ name, options }) => {
    const now = present.get(name);
    return now !== undefined && !sameView(now.options, options);
  });
  const recreated = changed.filter((view) => {
    const now = known(present.get(view.name));
    if (!sameValue(collationOf(now.options), collationOf(view.options))) return true;
    return changed.some((other) => {
      if (other.name === view.name) return false;
      const otherNow = known(present.get(other.name));
      return mentions(view, other.name) || mentions(now, other.name) || mentions(other, view.name) || mentions(otherNow, view.name);
    });
  });
  const dropped = [...[...present.keys()].filter((name) => !wanted.has(name)), ...recreated.map(({ name }) => name)].sort();
  const made = [...wanted.values()].filter((view) => {
    const now = present.get(view.name);
    return now === undefined || !sameView(now.options, view.options);
  });
  return {
    drop: dropped.map((name): SwapStep => ({ kind: 'dropView', name })),
    make: made.map(({ name, text }): SwapStep => ({ kind: 'view', name, options: text })),
  };
}

function viewsOf(namespaces: readonly { readonly name: string; readonly kind: string; readonly options: string }[]): Map<string, View> {
  const views = namespaces.filter(({ kind }) => kind === 'view');
  return new Map(views.map(({ name, options }) => [name, { name, text: options, options: parseOrdered(options) }]));
}

/** Whether two view definitions, as listCollections shows them, mean the same. */
export function sameView(left: OrderedDocument, right: OrderedDocument): boolean {
  const field = (view: OrderedDocument, name: string): OrderedValue => view.get(name) ?? null;
  return (
    sameValue(field(left, 'viewOn'), field(right, 'viewOn')) &&
    sameValue(field(left, 'pipeline'), field(right, 'pipeline')) &&
    sameValue(collationOf(left), collationOf(right))
  );
}

/** The collation without the version of the library that the server happened to have; null for the simple one, which servers leave out. */
export function collationOf(options: OrderedDocument): OrderedValue {
  const collation = options.get('collation');
  if (collation === undefined || !isDocument(collation) || collation.get('locale') === 'simple') return null;
  return new Map([...collation].filter(([name]) => name !== 'version'));
}

function mentions(view: View, name: string): boolean {
  const found = (value: OrderedValue): boolean => {
    if (value === name) return true;
    if (Array.isArray(value)) return value.some(found);
    return isDocument(value) && [...value.values()].some(found);
  };
  return found(view.options);
}

function timeToLive(namespaces: readonly StagedNamespace[]): SwapStep[] {
  return namespaces.flatMap(({ name, kind, uuid, options, indexes }) =>
    collectionSpec(name, kind, options, indexes).ttl.map(
      ({ index, seconds }): SwapStep => ({ kind: 'ttl', name, uuid: kind === 'timeseries' ? null : uuid, index, expireAfterSeconds: seconds }),
    ),
  );
}

function known<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new AppError('INTERNAL', 'A staged or live collection has no name or no UUID');
  return value;
}
