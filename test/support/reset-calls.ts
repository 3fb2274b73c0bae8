import { ended, type OperationAnswer, type UserErrorAnswer } from './backup-calls.ts';
import type { GraphqlClient } from './graphql-client.ts';
import type { MailReceiver } from './mail-receiver.ts';

export interface ResetAnswer {
  readonly id: string;
  readonly state: string;
  readonly reason: string;
  readonly wiped: readonly { readonly name: string; readonly documents: string; readonly bytes: string; readonly decidedBy: string | null }[];
  readonly preserved: readonly { readonly name: string; readonly documents: string }[];
  readonly undecided: readonly { readonly name: string; readonly documents: string }[];
  readonly counters: readonly { readonly name: string; readonly field: string; readonly resetTo: number }[];
  readonly checklist: readonly { readonly key: string; readonly checked: boolean; readonly hint: string | null }[];
  readonly latestBackup: { readonly id: string } | null;
  readonly channels: readonly ResetChannelAnswer[];
  readonly confirmText: string;
  readonly expiresAt: string;
  readonly operation: { readonly id: string } | null;
}

export interface ResetChannelAnswer {
  readonly kind: 'EMAIL' | 'SMS';
  readonly maskedAddress: string | null;
  readonly required: boolean;
  readonly sentAt: string | null;
  readonly resendAt: string | null;
  readonly expiresAt: string | null;
  readonly attemptsLeft: number;
  readonly verifiedAt: string | null;
  readonly error: string | null;
}

const resetFields = `id state reason wiped { name documents bytes decidedBy } preserved { name documents } undecided { name documents } counters { name field resetTo }
  checklist { key checked hint } latestBackup { id } channels { kind maskedAddress required sentAt resendAt expiresAt attemptsLeft verifiedAt error } confirmText expiresAt operation { id }`;

export interface ResetStep {
  readonly reset: ResetAnswer | null;
  readonly operation?: { readonly id: string } | null;
  readonly userErrors: readonly UserErrorAnswer[];
}

type Input = Readonly<Record<string, unknown>>;

export function mutationOf(name: string): string {
  const more = name === 'resetExecute' ? 'operation { id }' : '';
  return `mutation ($input: ${name.charAt(0).toUpperCase()}${name.slice(1)}Input!) { ${name}(input: $input) { reset { ${resetFields} } ${more} userErrors { code message field hint } } }`;
}

async function step(client: GraphqlClient, name: string, input: Input): Promise<ResetStep> {
  const answer = await client.run<Record<string, ResetStep>>(mutationOf(name), { input });
  return answer[name]!;
}

export const resetBegin = (client: GraphqlClient, tenantId: string, reason = 'TESTING'): Promise<ResetStep> => step(client, 'resetBegin', { tenantId, reason });
export const resetSendCode = (client: GraphqlClient, resetId: string, channel = 'EMAIL'): Promise<ResetStep> => step(client, 'resetSendCode', { resetId, channel });
export const resetVerifyCode = (client: GraphqlClient, resetId: string, code: string, channel = 'EMAIL'): Promise<ResetStep> => step(client, 'resetVerifyCode', { resetId, code, channel });
export const resetExecute = (client: GraphqlClient, resetId: string, confirmText = 'RESET', more: Input = {}): Promise<ResetStep> => step(client, 'resetExecute', { resetId, confirmText, ...more });
export const resetCancel = (client: GraphqlClient, resetId: string): Promise<ResetStep> => step(client, 'resetCancel', { resetId });

export async function readReset(client: GraphqlClient, id: string): Promise<ResetAnswer> {
  return (await client.run<{ reset: ResetAnswer }>(`query ($id: ID!) { reset(id: $id) { ${resetFields} } }`, { id })).reset;
}

export function begun({ reset, userErrors }: ResetStep): ResetAnswer {
  if (reset === null) throw new Error(`No reset: ${userErrors.map(({ code, message }) => `${code} ${message}`).join()}`);
  return reset;
}

export function codeIn(text: string): string {
  const found = /\b\d{6}\b/.exec(text)?.[0];
  if (found === undefined) throw new Error('The message holds no code');
  return found;
}

/** The code of the newest mail to the address. */
export function mailedCode(mail: MailReceiver, to: string): string {
  const newest = mail.received.filter((message) => message.to === to).at(-1);
  if (newest === undefined) throw new Error(`No mail to ${to}`);
  return codeIn(newest.text);
}

/** Begun and verified by e-mail. */
export async function verifiedReset(client: GraphqlClient & { readonly email: string }, tenantId: string, mail: MailReceiver): Promise<ResetAnswer> {
  const { id } = begun(await resetBegin(client, tenantId));
  begun(await resetSendCode(client, id));
  return begun(await resetVerifyCode(client, id, mailedCode(mail, client.email)));
}

/** The whole of it; the final state of the operation. */
export async function resetWhole(client: GraphqlClient & { readonly email: string }, tenantId: string, mail: MailReceiver): Promise<OperationAnswer> {
  const { id } = await verifiedReset(client, tenantId, mail);
  const { operation, userErrors } = await resetExecute(client, id);
  if (operation == null) throw new Error(JSON.stringify(userErrors));
  return ended(client, operation.id);
}
