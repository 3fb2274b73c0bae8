import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { IsString, MaxLength } from 'class-validator';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { DestinationModel } from '../destination.model.js';

@InputType()
export class DestinationCreateInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => String, { description: 'One of the names that `stores` lists.' })
  @IsString()
  @MaxLength(64)
  store!: string;
}

@InputType()
export class DestinationDeleteInput {
  @Field(() => ID)
  @IsString()
  destinationId!: string;
}

@InputType()
export class DestinationTestInput extends DestinationDeleteInput {}

@InputType()
export class DestinationUpdateInput extends DestinationDeleteInput {
  @Field(() => String, { description: 'Where the copies move to.' })
  @IsString()
  @MaxLength(64)
  store!: string;
}

@ObjectType({ isAbstract: true })
abstract class DestinationPayload extends MutationPayload {
  @Field(() => DestinationModel, { nullable: true })
  destination?: DestinationModel;
}

@ObjectType()
export class DestinationCreatePayload extends DestinationPayload {}

@ObjectType()
export class DestinationUpdatePayload extends DestinationPayload {}

@ObjectType()
export class DestinationDeletePayload extends DestinationPayload {}

@ObjectType()
export class DestinationTestPayload extends DestinationPayload {}
