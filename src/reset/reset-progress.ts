import { Injectable } from '@nestjs/common';
import { PoliciesService } from '../policies/policies.service.js';
import type { ResetEntity } from './reset.entity.js';
import type { ResetChannelModel } from './reset.model.js';
import { isRequired } from './reset-channels.js';
import { resendAfterMs } from './reset-codes.js';
import { ResetsRepository } from './resets.repository.js';

/** How far the codes of a reset are. */
@Injectable()
export class ResetProgress {
  constructor(
    private readonly resets: ResetsRepository,
    private readonly policies: PoliciesService,
  ) {}

  async channelsOf(reset: ResetEntity): Promise<ResetChannelModel[]> {
    const [{ resetCodes }, newest] = await Promise.all([this.policies.of(reset), this.resets.codesOf(reset, { delivered: false })]);
    return reset.channels.map(({ kind, maskedAddress, error }) => {
      const code = newest.find(({ channel }) => channel === kind);
      const isSent = code !== undefined && code.error === null;
      const resendAt = isSent ? new Date(code.sentAt.getTime() + resendAfterMs) : null;
      return {
        kind,
        maskedAddress,
        required: isRequired(resetCodes, kind),
        sentAt: isSent ? code.sentAt : null,
        resendAt: resendAt !== null && resendAt.getTime() > Date.now() ? resendAt : null,
        expiresAt: isSent ? code.expiresAt : null,
        attemptsLeft: reset.triesLeft,
        verifiedAt: code?.verifiedAt ?? null,
        error: error ?? code?.error ?? null,
      };
    });
  }
}
