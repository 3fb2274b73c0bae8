import { Args, Mutation, Resolver } from '@nestjs/graphql';
import { toOperationModel } from '../operations/operation.model.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { RestoreReleaseOldPayload } from './dto/restore.payloads.js';
import { RestoreReleaseOldInput } from './dto/undo.inputs.js';
import { RestoreRelease } from './restore-release.js';

@Resolver()
export class ReleaseResolver {
  constructor(private readonly release: RestoreRelease) {}

  @Access('provider')
  @Mutation(() => RestoreReleaseOldPayload, { description: 'Drops for good the former live data that a restore with keepOld left in the database.' })
  async restoreReleaseOld(@CurrentActor() actor: Actor, @Args('input') input: RestoreReleaseOldInput): Promise<RestoreReleaseOldPayload> {
    return { operation: toOperationModel(await this.release.start(actor, input)) };
  }
}
