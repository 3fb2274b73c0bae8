import type { AlertSeverity } from '../alerts/alert-event.js';

/** An alert in the words that people get. */
export interface Message {
  /** Of the alert; stays the same when it is sent again. */
  readonly id: string;
  readonly event: string;
  readonly severity: AlertSeverity;
  readonly title: string;
  readonly text: string;
  /** Null: of the installation. */
  readonly tenant: { readonly id: string; readonly slug: string; readonly name: string } | null;
  readonly at: Date;
}

export function headlineOf({ title, tenant }: Message): string {
  return tenant === null ? title : `${title}: ${tenant.name}`;
}

/** At most `length` characters, and never half of one. */
export function cut(text: string, length: number): string {
  const characters = [...text];
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join('')}…`;
}
