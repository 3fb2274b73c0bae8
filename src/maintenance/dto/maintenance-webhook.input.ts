import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { IsBoolean, IsOptional, IsString, Length } from 'class-validator';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { TenantModel } from '../../tenants/tenant.model.js';
import { MaintenanceWebhookModel } from '../maintenance-webhook.model.js';

@InputType()
export class MaintenanceWebhookUpdateInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => String, { nullable: true, description: 'An https:// address; null removes the webhook.' })
  @IsOptional()
  @IsString()
  @Length(1, 2000)
  url?: string | null;

  @Field(() => Boolean, { nullable: true, defaultValue: false, description: 'Refuse a restore that the product does not confirm in time, instead of going on with a warning.' })
  @IsOptional()
  @IsBoolean()
  required?: boolean | null;

  @Field(() => Boolean, { nullable: true, defaultValue: false, description: 'Make a new secret; the old one signs nothing any more.' })
  @IsOptional()
  @IsBoolean()
  rotateSecret?: boolean | null;
}

@ObjectType()
export class MaintenanceWebhookUpdatePayload extends MutationPayload {
  @Field(() => TenantModel, { nullable: true })
  tenant?: TenantModel | null;

  @Field(() => MaintenanceWebhookModel, { nullable: true })
  webhook?: MaintenanceWebhookModel | null;

  @Field(() => String, { nullable: true, description: 'What messages are signed with. Only where it is new; it is never shown again.' })
  secret?: string | null;
}
