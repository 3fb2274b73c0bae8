import { Injectable } from '@nestjs/common';
import { asAppError } from '#errors';
import { BackupsService } from '../backups/backups.service.js';
import { AppConfig } from '../config/app-config.js';
import type { ActorStamp } from '../platform/auth/actor.js';
import { Sweep } from '../platform/queue/sweep.js';
import { DrillsService } from './drills.service.js';
import { type DueProof, ProofPlansRepository } from './proof-plans.repository.js';

const atOnce = 20;
const startedBy: ActorStamp = { id: 'system:proof-plan', kind: 'SYSTEM', email: null, name: 'The proof plan' };

/** Starts the verifications and drills that are due. Any process may do it. */
@Injectable()
export class ProofTicks extends Sweep {
  protected readonly failure = 'Due proofs could not be looked for';
  /** More often than other sweeps: a proof is due at a time. */
  protected override readonly everyMs = 60_000;

  constructor(
    config: AppConfig,
    private readonly plans: ProofPlansRepository,
    private readonly drills: DrillsService,
    private readonly backups: BackupsService,
  ) {
    super(config);
  }

  protected async look(): Promise<void> {
    for (const due of await this.plans.takeDue(atOnce)) await this.start(due);
  }

  private async start({ tenantId, verify, drill }: DueProof): Promise<void> {
    try {
      if (verify) await this.backups.verifyLastGood({ tenantId }, startedBy);
      if (drill) await this.drills.runPlanned({ tenantId }, startedBy);
    } catch (error) {
      this.logger.warn({ msg: 'A due proof could not be started', tenantId, code: asAppError(error).code });
    }
  }
}
