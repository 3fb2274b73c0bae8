import { Field, ID, InputType } from '@nestjs/graphql';
import { IsString } from 'class-validator';
import { ConfirmedInput } from './confirmed.input.js';

@InputType()
export class RestoreUndoInput extends ConfirmedInput {
  @Field(() => ID, { description: 'The restore, or the undo, to be taken back.' })
  @IsString()
  operationId!: string;
}

@InputType()
export class RestoreReleaseOldInput extends ConfirmedInput {
  @Field(() => ID, { description: 'The restore that kept the old collections, or the restore or undo that left a former database.' })
  @IsString()
  operationId!: string;
}
