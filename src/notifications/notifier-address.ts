import { z } from 'zod';
import type { NotifierChannel } from './notifier.entity.js';

/** Where a notifier sends to, as it is kept sealed. */
export const notifierAddress = z.strictObject({
  /** An e-mail address, a chat id, or a URL that may hold a token. */
  to: z.string(),
  /** Of a Telegram bot. */
  token: z.string().optional(),
  /** Of a Telegram Bot API server of one's own. */
  apiUrl: z.string().optional(),
  /** Signs the requests of a WEBHOOK. */
  secret: z.string().optional(),
});
export type NotifierAddress = z.output<typeof notifierAddress>;

/** What people may see of it: enough to tell two of them apart, nothing that opens a chat. */
export function shownAddressOf(channel: NotifierChannel, { to }: NotifierAddress): string {
  if (channel === 'EMAIL') return to.replace(/^(.)[^@]*/, '$1…');
  if (channel === 'TELEGRAM') return `chat …${to.slice(-4)}`;
  return new URL(to).host;
}
