import { Field, Int, ObjectType } from '@nestjs/graphql';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { Paginated } from '../platform/graphql/connection.js';
import { ApprovalAction, Cadence, CatchUp, EncryptionPolicy, PolicyPreset, ResetCodes, SchedulingPolicy, UploadFormat } from './policy-enums.js';
import type { PolicyChangeEntity } from './policy-change.entity.js';
import { RetentionRuleModel } from './retention-rule.js';

@ObjectType('DefaultSchedule', { description: 'What a frontend offers for a new schedule.' })
export class DefaultScheduleModel {
  @Field(() => Boolean)
  active!: boolean;

  @Field(() => Cadence)
  cadence!: Cadence;

  @Field(() => String, { description: 'HH:MM in the zone of the workspace.' })
  atTime!: string;
}

@ObjectType('TenantPolicy', { description: 'What the workspace may do, and how. The members of a workspace set some of it, the provider all.' })
export class TenantPolicyModel {
  @Field(() => PolicyPreset, { nullable: true, description: 'Null: everything is allowed.' })
  preset!: PolicyPreset | null;

  @Field(() => EncryptionPolicy)
  encryption!: EncryptionPolicy;

  @Field(() => Boolean)
  allowDownload!: boolean;

  @Field(() => Boolean, { description: 'A frontend downloads a backup of its own accord as soon as it is completed.' })
  autoDownload!: boolean;

  @Field(() => Boolean)
  selfServiceDelete!: boolean;

  @Field(() => [UploadFormat])
  uploadFormats!: UploadFormat[];

  @Field(() => Boolean)
  partialBackups!: boolean;

  @Field(() => Boolean)
  partialRestores!: boolean;

  @Field(() => SchedulingPolicy)
  scheduling!: SchedulingPolicy;

  @Field(() => Int)
  maxSchedules!: number;

  @Field(() => [Cadence])
  sandboxCadences!: Cadence[];

  @Field(() => [Cadence])
  productionCadences!: Cadence[];

  @Field(() => CatchUp)
  catchUp!: CatchUp;

  @Field(() => DefaultScheduleModel)
  defaultSchedule!: DefaultScheduleModel;

  @Field(() => RetentionRuleModel, { description: 'How long backups of schedules without a rule of their own are kept, and those of the cron key.' })
  retention!: RetentionRuleModel;

  @Field(() => RetentionRuleModel, { description: 'How long backups that people take are kept.' })
  manualRetention!: RetentionRuleModel;

  @Field(() => ResetCodes)
  resetCodes!: ResetCodes;

  @Field(() => Boolean, { description: 'Whether `sessionEpoch` grows with a restore or a reset, so that the users of the product log in again.' })
  endSessions!: boolean;

  @Field(() => String, { description: 'What the files of backups are called before their suffix: letters, digits, ".", "_", "-" and the tokens {db} {label} {workspace} {yyyyMMdd_HHmmss} {id}.' })
  fileNameTemplate!: string;

  @Field(() => Boolean, { description: 'A frontend lists exports beside backups, labelled "not restorable".' })
  exportsInHistory!: boolean;

  @Field(() => String, { description: "The product's word for COMPLETED." })
  completedLabel!: string;

  @Field(() => Int, { description: 'Rows on the first page of a list.' })
  pageSize!: number;

  @Field(() => Int, { description: 'Restores, undos and resets are started by a login that is at most so many minutes old; 0: by any.' })
  stepUpMinutes!: number;

  @Field(() => [ApprovalAction], { description: 'What a second person has to agree to, by approvalDecide.' })
  approvals!: ApprovalAction[];
}

@ObjectType('PolicyChange')
export class PolicyChangeModel {
  @Field(() => Date)
  at!: Date;

  @Field(() => ActorModel, { nullable: true })
  by!: ActorModel | null;

  @Field(() => String, { description: 'The field of TenantPolicy.' })
  key!: string;

  @Field(() => String, { description: 'As JSON.' })
  oldValue!: string;

  @Field(() => String, { description: 'As JSON.' })
  newValue!: string;
}

@ObjectType()
export class PolicyChangeConnection extends Paginated('PolicyChange', () => PolicyChangeModel) {}

export function toPolicyChangeModel({ at, by, key, oldValue, newValue }: PolicyChangeEntity): PolicyChangeModel {
  return { at, by: toActorModel(by), key, oldValue: JSON.stringify(oldValue), newValue: JSON.stringify(newValue) };
}
