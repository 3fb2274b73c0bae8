import { Field, ID, InputType } from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { ArrayMaxSize, ArrayNotEmpty, IsArray, IsBoolean, IsDate, IsEnum, IsOptional, IsString, Length, ValidateNested } from 'class-validator';
import { ConfirmedInput } from './confirmed.input.js';
import { MergeConflict } from '../restore-choice.js';
import { RestoreTargetInput } from './restore-target.input.js';
import { Cutover, RestoreMode } from '../restore-plan.entity.js';

@InputType('RestoreSourceInput', { isOneOf: true, description: 'Where the archive comes from: exactly one of the fields.' })
export class RestoreSourceInput {
  @Field(() => ID, { nullable: true })
  @IsOptional()
  @IsString()
  backupId?: string;

  @Field(() => ID, { nullable: true, description: 'A completed upload with the purpose RESTORE.' })
  @IsOptional()
  @IsString()
  uploadId?: string;
}

@InputType()
export class RestorePlanCreateInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => RestoreSourceInput)
  @ValidateNested()
  @Type(() => RestoreSourceInput)
  source!: RestoreSourceInput;

  @Field(() => RestoreMode, { nullable: true, defaultValue: RestoreMode.REPLACE, description: 'REPLACE puts the archive in the place of the whole database, or of the chosen collections. MERGE writes documents of the archive into the live collections and removes none.' })
  @IsOptional()
  @IsEnum(RestoreMode)
  mode?: RestoreMode | null;

  @Field(() => [String], { nullable: true, description: 'Restore these collections of the archive alone and leave all others as they are. Null: the whole database.' })
  @IsOptional()
  @IsArray()
  @ArrayNotEmpty()
  @ArrayMaxSize(10_000)
  @IsString({ each: true })
  @Length(1, 255, { each: true })
  collections?: string[] | null;

  @Field(() => MergeConflict, { nullable: true, description: 'For MERGE; KEEP_LIVE if it is not given.' })
  @IsOptional()
  @IsEnum(MergeConflict)
  conflict?: MergeConflict | null;

  @Field(() => Boolean, { nullable: true, description: 'For MERGE: leave out documents of the archive whose unique keys other live documents hold, instead of refusing the merge.' })
  @IsOptional()
  @IsBoolean()
  skipClashes?: boolean | null;

  @Field(() => RestoreTargetInput, { nullable: true, description: 'Left out: in place of the live database.' })
  @IsOptional()
  @ValidateNested()
  @Type(() => RestoreTargetInput)
  target?: RestoreTargetInput | null;

  @Field(() => Cutover, { nullable: true, defaultValue: Cutover.SWAP, description: 'How the restored data become the live ones. Of REPOINT, target.newDatabase may name the new database; left out, the plan makes a name.' })
  @IsOptional()
  @IsEnum(Cutover)
  cutover?: Cutover | null;

  @Field(() => Boolean, { nullable: true, defaultValue: false, description: 'Read the whole archive for the plan, not its ends alone; the restore itself always does.' })
  @IsOptional()
  @IsBoolean()
  fullRead?: boolean | null;
}

@InputType()
export class RestoreStartInput extends ConfirmedInput {
  @Field(() => ID)
  @IsString()
  planId!: string;

  @Field(() => Boolean, { nullable: true, defaultValue: false, description: 'Verify and stage the archive, then remove the stage: live data are not touched.' })
  @IsOptional()
  @IsBoolean()
  dryRun?: boolean | null;

  @Field(() => Date, { nullable: true, description: 'When it begins: the product and the members of the workspace are told at once. The plan then holds until its start. Left out: now.' })
  @IsOptional()
  @IsDate()
  startAt?: Date | null;

  @Field(() => Boolean, { nullable: true, defaultValue: false, description: 'For the provider, where live data cannot be read and no safety backup can be taken: what was live stays in the database under other names until restoreReleaseOld. It cannot be undone.' })
  @IsOptional()
  @IsBoolean()
  keepOld?: boolean | null;
}
