import { Injectable } from '@nestjs/common';
import { AppError, asAppError } from '#errors';
import type { TenantScope } from '../access/access.service.js';
import { MembersService } from '../access/members.service.js';
import type { Actor } from '../platform/auth/actor.js';
import { Mailer } from '../platform/mail/mailer.js';
import type { ResetCodes } from '../policies/policy-enums.js';
import { SmsSender } from '../sms/sms-sender.js';
import { type ChannelKind, channelKinds, type ChannelView } from './reset.entity.js';

const longestNameInSms = 40;

export interface CodeMessage {
  readonly code: string;
  readonly tenantName: string;
  readonly validForMinutes: number;
}

/** How a person is sent a code. */
@Injectable()
export class ResetChannels {
  constructor(
    private readonly members: MembersService,
    private readonly mailer: Mailer,
    private readonly sms: SmsSender,
  ) {}

  async views(actor: Actor, scope: TenantScope, policy: ResetCodes): Promise<ChannelView[]> {
    const addresses = await this.members.addressesOf(actor, scope);
    return channelKinds.map((kind) => {
      const address = kind === 'EMAIL' ? addresses.email : addresses.phone;
      return { kind, maskedAddress: address === null ? null : masked(kind, address), error: this.whyNot(kind, address, policy) };
    });
  }

  /** @throws AppError RESET_CHANNEL_UNAVAILABLE */
  async addressOf(actor: Actor, scope: TenantScope, kind: ChannelKind, policy: ResetCodes): Promise<string> {
    const addresses = await this.members.addressesOf(actor, scope);
    const address = kind === 'EMAIL' ? addresses.email : addresses.phone;
    const reason = this.whyNot(kind, address, policy);
    if (reason !== null || address === null) throw new AppError('RESET_CHANNEL_UNAVAILABLE', reason ?? '', { field: ['channel'] });
    return address;
  }

  /** @throws AppError RESET_CODE_UNDELIVERED with what the server or the provider said */
  async send(kind: ChannelKind, address: string, message: CodeMessage): Promise<void> {
    try {
      if (kind === 'EMAIL') await this.mailer.send({ to: address, ...mailOf(message) });
      else await this.sms.send(address, smsOf(message));
    } catch (error) {
      const cause = asAppError(error);
      throw new AppError('RESET_CODE_UNDELIVERED', `The code could not be sent: ${cause.message}`, { field: ['channel'], cause });
    }
  }

  private whyNot(kind: ChannelKind, address: string | null, policy: ResetCodes): string | null {
    if (!isAllowed(policy, kind)) return `The policy of the workspace wants the code by ${kind === 'EMAIL' ? 'SMS' : 'e-mail'}`;
    if (kind === 'EMAIL' && !this.mailer.isConfigured) return 'No mail server is configured';
    if (kind === 'SMS' && this.sms.unavailable !== null) return this.sms.unavailable;
    if (address === null) return kind === 'EMAIL' ? 'Your e-mail address is not known here' : 'Your phone number is not known here';
    return null;
  }
}

function isAllowed(policy: ResetCodes, kind: ChannelKind): boolean {
  return policy === 'EITHER' || policy === 'BOTH' || policy === kind;
}

/** Whether the channel must be verified, whatever else is. */
export function isRequired(policy: ResetCodes, kind: ChannelKind): boolean {
  return policy === 'BOTH' || policy === kind;
}

/** Channels that have to be verified before the next step; empty: none any more. */
export function missingChannels(policy: ResetCodes, verified: ReadonlySet<ChannelKind>): readonly ChannelKind[] {
  if (policy === 'EITHER') return verified.size > 0 ? [] : channelKinds;
  return channelKinds.filter((kind) => isRequired(policy, kind) && !verified.has(kind));
}

function masked(kind: ChannelKind, address: string): string {
  if (kind === 'SMS') return `${address.slice(0, 3)}${'*'.repeat(Math.max(1, address.length - 5))}${address.slice(-2)}`;
  const at = address.lastIndexOf('@');
  return `${address.slice(0, 1)}***${address.slice(at)}`;
}

function mailOf({ code, tenantName, validForMinutes }: CodeMessage): { readonly subject: string; readonly text: string } {
  return {
    subject: `Your code to reset ${tenantName}`,
    text: [
      `The code to reset the workspace "${tenantName}" is`,
      '',
      `    ${code}`,
      '',
      `It is good for ${validForMinutes} minutes, once. A reset permanently deletes business data.`,
      'If you did not ask for it, somebody else is logged in as you: change your password and tell your administrator. Never give the code to anybody.',
    ].join('\n'),
  };
}

function smsOf({ code, tenantName, validForMinutes }: CodeMessage): string {
  const name = tenantName.length > longestNameInSms ? `${tenantName.slice(0, longestNameInSms)}…` : tenantName;
  return `${code} is your code to reset "${name}". Good for ${validForMinutes} minutes. Never give it to anybody.`;
}
