import { ArgsType, Field, InputType, ObjectType, registerEnumType } from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { IsDate, IsEnum, IsOptional, IsString, MaxLength, ValidateNested } from 'class-validator';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { PageArgs, Paginated } from '../platform/graphql/connection.js';
import { Count } from '../platform/graphql/scalars.js';
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

  @Field(() => Count, { description: 'Its place in the chain of the tenant, from 1 and without a gap.' })
  sequence!: number;

  @Field(() => String, { description: 'SHA-256 over the event and the hash of the one before it, in hexadecimal digits.' })
  hash!: string;
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

  @Field(() => String, { nullable: true, description: 'The e-mail address of who did it.' })
  @IsOptional()
  @IsString()
  @MaxLength(320)
  actor?: string | null;

  @Field(() => Date, { nullable: true })
  @IsOptional()
  @IsDate()
  since?: Date | null;

  @Field(() => Date, { nullable: true })
  @IsOptional()
  @IsDate()
  until?: Date | null;
}

@ArgsType()
export class AuditEventArgs extends PageArgs {
  @Field(() => AuditFilter, { nullable: true })
  @IsOptional()
  @ValidateNested()
  @Type(() => AuditFilter)
  filter?: AuditFilter | null;
}

export function toAuditEventModel(row: AuditEventEntity): AuditEventModel {
  return {
    at: row.at,
    action: row.action,
    outcome: AuditOutcomeName[row.outcome],
    actor: toActorModel(row.actor),
    address: row.address,
    detail: Object.entries(row.detail).map(([name, value]) => ({ name, value: value === null ? null : String(value) })),
    sequence: row.sequence,
    hash: row.hash.toString('hex'),
  };
}
