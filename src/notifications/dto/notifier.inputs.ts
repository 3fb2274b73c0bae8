import { Field, ID, InputType, Int, ObjectType } from '@nestjs/graphql';
import { ArrayMaxSize, IsArray, IsBoolean, IsEnum, IsInt, IsOptional, IsString, Max, MaxLength, Min } from 'class-validator';
import { AlertEvent, AlertSeverity } from '../../alerts/alert-event.js';
import { IsDisplayName } from '../../platform/graphql/display-name.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { NotifierChannel } from '../notifier.entity.js';
import { AlertDeliveryModel, NotifierModel } from '../notifier.model.js';

const mostEvents = 50;
const weekMinutes = 7 * 24 * 60;

@InputType()
export class NotifierCreateInput {
  @Field(() => ID, { nullable: true, description: 'Left out by the provider alone: then it is told of every tenant and of the installation.' })
  @IsOptional()
  @IsString()
  tenantId?: string | null;

  @Field(() => String)
  @IsDisplayName()
  name!: string;

  @Field(() => NotifierChannel)
  @IsEnum(NotifierChannel)
  channel!: NotifierChannel;

  @Field(() => String, { description: 'EMAIL: an address; TELEGRAM: the id of a chat; else a URL. Kept encrypted.' })
  @IsString()
  @MaxLength(2000)
  to!: string;

  @Field(() => String, { nullable: true, description: 'TELEGRAM: the token of the bot. Kept encrypted.' })
  @IsOptional()
  @IsString()
  @MaxLength(200)
  token?: string | null;

  @Field(() => String, { nullable: true, description: 'TELEGRAM: a Bot API server of your own.' })
  @IsOptional()
  @IsString()
  @MaxLength(2000)
  apiUrl?: string | null;

  @Field(() => [AlertEvent], { nullable: true, description: 'All where it is left out or empty; of PING: BACKUP_COMPLETED.' })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(mostEvents)
  @IsEnum(AlertEvent, { each: true })
  events?: AlertEvent[] | null;

  @Field(() => AlertSeverity, { nullable: true, description: 'WARNING where it is left out: what goes well is not told.' })
  @IsOptional()
  @IsEnum(AlertSeverity)
  minSeverity?: AlertSeverity | null;

  @Field(() => Int, { nullable: true, description: '60 where it is left out; of PING: 0.' })
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(weekMinutes)
  cooldownMinutes?: number | null;
}

@InputType()
export class NotifierUpdateInput {
  @Field(() => ID)
  @IsString()
  notifierId!: string;

  @Field(() => String, { nullable: true })
  @IsOptional()
  @IsDisplayName()
  name?: string | null;

  @Field(() => [AlertEvent], { nullable: true })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(mostEvents)
  @IsEnum(AlertEvent, { each: true })
  events?: AlertEvent[] | null;

  @Field(() => AlertSeverity, { nullable: true })
  @IsOptional()
  @IsEnum(AlertSeverity)
  minSeverity?: AlertSeverity | null;

  @Field(() => Int, { nullable: true })
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(weekMinutes)
  cooldownMinutes?: number | null;

  @Field(() => Boolean, { nullable: true })
  @IsOptional()
  @IsBoolean()
  active?: boolean | null;
}

@InputType()
export class NotifierDeleteInput {
  @Field(() => ID)
  @IsString()
  notifierId!: string;
}

@InputType()
export class NotifierTestInput extends NotifierDeleteInput {}

@ObjectType({ isAbstract: true })
abstract class NotifierPayload extends MutationPayload {
  @Field(() => NotifierModel, { nullable: true })
  notifier?: NotifierModel;
}

@ObjectType()
export class NotifierCreatePayload extends NotifierPayload {
  @Field(() => String, { nullable: true, description: 'WEBHOOK: signs the requests. Shown this once.' })
  secret?: string | null;
}

@ObjectType()
export class NotifierUpdatePayload extends NotifierPayload {}

@ObjectType()
export class NotifierDeletePayload extends NotifierPayload {}

@ObjectType()
export class NotifierTestPayload extends NotifierPayload {
  @Field(() => AlertDeliveryModel, { nullable: true })
  delivery?: AlertDeliveryModel;
}
