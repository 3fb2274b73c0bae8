/**
 * Physical names that Holdfast makes inside a tenant's database. All start with `hf_<operation>_`, so that each
 * operation finds its own again, and staged ones go on with the fencing token that made them.
 */
const reservedPrefix = 'hf_';
export const bucketsPrefix = 'system.buckets.';
const ownPrefix = `${reservedPrefix}[0-9a-f]{32}_`;
/** Of Holdfast's own names and of no others, for regular expressions of the server, too: a product may well call a collection `hf_something`. */
export const ownPattern = `^${ownPrefix}`;
const own = new RegExp(ownPattern);
const ownWithin = new RegExp(`[\\w.-]*${ownPrefix}\\w+`, 'g');

/** True for what Holdfast itself put beside the tenant's data, the buckets of its trial time series included. */
export function isOwnName(name: string): boolean {
  return own.test(name.startsWith(bucketsPrefix) ? name.slice(bucketsPrefix.length) : name);
}

/** `hf_<operation>_` of one of Holdfast's own names; null of any other. */
export function ownPrefixOf(name: string): string | null {
  return own.exec(name)?.[0] ?? null;
}

/** A message of the server, in which `label` stands for each of Holdfast's own names, qualified by their database or not. */
export function withLabel(message: string, label: string): string {
  return message.replace(ownWithin, label);
}

export function operationPrefix(operationId: string): string {
  const hex = operationId.replaceAll('-', '').toLowerCase();
  if (!/^[0-9a-f]{32}$/.test(hex)) throw new TypeError('An operation id is a UUID');
  return `${reservedPrefix}${hex}_`;
}

export function stagedName(operationId: string, token: number, index: number): string {
  return `${operationPrefix(operationId)}${token}_${index}`;
}

/** A time series, collection or view that only exists to find out whether the server takes the definition. */
export function trialName(operationId: string, token: number, index: number): string {
  return `${operationPrefix(operationId)}${token}_t${index}`;
}

/** Holds the fence of a MERGE; dropped with the stage. */
export function fenceName(operationId: string, token: number): string {
  return `${operationPrefix(operationId)}${token}_fence`;
}

/** Holds the ids of documents that MERGE's dry pass saw clash; dropped with the stage. */
export function clashesName(operationId: string, token: number, index: number): string {
  return `${operationPrefix(operationId)}${token}_x${index}`;
}

/** Written to mark a time in a change stream; dropped with the stage. */
export function markName(operationId: string, token: number): string {
  return `${operationPrefix(operationId)}${token}_mark`;
}

/** A copy of a live collection's unique keys, on which MERGE tries its writes; dropped with the stage. */
export function keysName(operationId: string, token: number, index: number): string {
  return `${operationPrefix(operationId)}${token}_k${index}`;
}

/** Staged buckets that one worker has taken to fill a live time series. */
export function claimedName(operationId: string, token: number, claim: string): string {
  return `${operationPrefix(operationId)}${token}_c${claim}`;
}

export function oldName(operationId: string, index: number): string {
  return `${operationPrefix(operationId)}old_${index}`;
}

export function lateName(operationId: string, index: number): string {
  return `${operationPrefix(operationId)}late_${index}`;
}

/** The fencing token in the name of a staged collection of this operation; null for every other name. */
export function stageToken(operationId: string, name: string): number | null {
  const prefix = operationPrefix(operationId);
  const found = name.startsWith(prefix) ? /^(\d+)_/.exec(name.slice(prefix.length)) : null;
  return found === null ? null : Number(found[1]);
}
