const noticeTopics = ['operation', 'operation-cancel', 'tenant', 'account', 'webhook', 'alert', 'address-rules'] as const;
export type NoticeTopic = (typeof noticeTopics)[number];

/** Tells that a row changed: ids and a revision, never data, so that a notice may go to every process. */
export interface Notice {
  readonly topic: NoticeTopic;
  readonly id: string;
  readonly tenantId: string;
  readonly revision: number;
}

export interface NoticeFilter {
  readonly id?: string;
  readonly tenantId?: string;
}

/** `resync`: notices may have been lost (the connection was away, or the reader was too slow): read the state again. */
export type BusEvent = ({ readonly kind: 'changed' } & Notice) | { readonly kind: 'resync' };

/** Returns null for what no version of Holdfast would have sent. */
export function parseNotice(payload: string): Notice | null {
  let parts: unknown;
  try {
    parts = JSON.parse(payload);
  } catch {
    return null;
  }
  if (!Array.isArray(parts)) return null;
  const [topic, id, tenantId, revision] = parts as unknown[];
  const known = noticeTopics.find((name) => name === topic);
  if (known === undefined || typeof id !== 'string' || typeof tenantId !== 'string' || typeof revision !== 'number') return null;
  return { topic: known, id, tenantId, revision };
}

export function printNotice(notice: Notice): string {
  return JSON.stringify([notice.topic, notice.id, notice.tenantId, notice.revision]);
}

export function matches(filter: NoticeFilter, notice: Notice): boolean {
  return (filter.id === undefined || filter.id === notice.id) && (filter.tenantId === undefined || filter.tenantId === notice.tenantId);
}
