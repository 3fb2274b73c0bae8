import { Field, InputType, ObjectType, registerEnumType } from '@nestjs/graphql';
import { IsDate, IsEnum, IsOptional, IsString, MaxLength } from 'class-validator';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { Paginated } from '../platform/graphql/connection.js';
import type { AuditEventEntity } from './audit-event.entity.js';

export enum AuditOutcomeName {
  OK = 'OK',
  REFUSED = 'REFUSED',
  FAILED = 'FAILED',
}

registerEnumType(AuditOutcomeName, { name: 'AuditOutcome' });

@ObjectType('AuditDetail')
export class AuditDetailModel {
  @Field(() => String)
  name!: string;

  @Field(() => String, { nullable: true })
  value!: string | null;
}

@ObjectType('AuditEvent', { description: 'Something that was done or refused; never changed afterwards.' })
export class AuditEventModel {
  @Field(() => Date)
  at!: Date;

  @Field(() => String, { description: 'What happened, such as backup.created or member.invited.' })
  action!: string;

  @Field(() => AuditOutcomeName)
  outcome!: AuditOutcomeName;

  @Field(() => ActorModel, { nullable: true })
  actor!: ActorModel | null;

  @Field(() => String, { nullable: true, description: 'The IP address that it came from.' })
  address!: string | null;

  @Field(() => [AuditDetailModel])
  detail!: AuditDetailModel[];
}

@ObjectType()
export class AuditEventConnection extends Paginated('AuditEvent', () => AuditEventModel) {}

@InputType()
export class AuditFilter {
  @Field(() => String, { nullable: true })
  @IsOptional()
  @IsString()
  @MaxLength(100)
  action?: string | null;

  @Field(() => AuditOutcomeName, { nullable: true })
  @IsOptional()
  @IsEnum(AuditOutcomeName)
  outcome?: AuditOutcomeName | null;

  @Field(() => Date, { nullable: true })
  @IsOptional()
  @IsDate()
  since?: Date | null;

  @Field(() => Date, { nullable: true })
  @IsOptional()
  @IsDate()
  until?: Date | null;
}

export function toAuditEventModel(row: AuditEventEntity): AuditEventModel {
  return {
    at: row.at,
    action: row.action,
    outcome: AuditOutcomeName[row.outcome],
    actor: toActorModel(row.actor),
    address: row.address,
    detail: Object.entries(row.detail).map(([name, value]) => ({ name, value: value === null ? null : String(value) })),
  };
}
