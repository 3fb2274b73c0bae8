import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { IsString } from 'class-validator';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { ConfirmName } from '../../tenants/confirm-name.js';
import { TenantModel } from '../../tenants/tenant.model.js';

@InputType()
export class TenantDeleteInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @ConfirmName()
  confirmName!: string;
}

@InputType()
export class TenantUndeleteInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;
}

@ObjectType({ isAbstract: true })
abstract class DeparturePayload extends MutationPayload {
  @Field(() => TenantModel, { nullable: true })
  tenant?: TenantModel;
}

@ObjectType()
export class TenantDeletePayload extends DeparturePayload {}

@ObjectType()
export class TenantUndeletePayload extends DeparturePayload {}
