import { Args, Mutation, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { OperationModel, toOperationModel } from '../operations/operation.model.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { RestoreUndoPayload } from './dto/restore.payloads.js';
import { RestoreUndoInput } from './dto/undo.inputs.js';
import { RestoreUndo } from './restore-undo.js';
import { UndoTerm } from './undo-term.js';

@Resolver(() => OperationModel)
export class UndoResolver {
  constructor(
    private readonly undo: RestoreUndo,
    private readonly term: UndoTerm,
  ) {}

  @Access(Permission.RESTORE_RUN)
  @Mutation(() => RestoreUndoPayload, { description: 'Brings back the last state before a completed restore or reset, with all that was written up to it. It can be undone in its turn.' })
  async restoreUndo(@CurrentActor() actor: Actor, @Args('input') input: RestoreUndoInput): Promise<RestoreUndoPayload> {
    return { operation: toOperationModel(await this.undo.start(actor, input)) };
  }

  @ResolveField(() => Date, { nullable: true, description: 'Null when it cannot be undone, or no longer: not completed, a dry run, 7 days over, safety backup deleted.' })
  undoableUntil(@Parent() { row }: OperationModel): Promise<Date | null> {
    return this.term.until(row);
  }

  @ResolveField(() => String, { nullable: true, description: 'What else undo would take back, as a sentence for people.' })
  async undoWarning(@Parent() { row }: OperationModel): Promise<string | null> {
    return (await this.term.until(row)) === null ? null : this.term.warning(row);
  }
}
