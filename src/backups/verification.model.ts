import { Field, ObjectType } from '@nestjs/graphql';

@ObjectType('Verification', { description: 'The last time that the stored file was read whole.' })
export class VerificationModel {
  @Field(() => Date)
  at!: Date;

  @Field(() => Boolean)
  ok!: boolean;

  @Field(() => String, { nullable: true, description: 'Why it failed.' })
  code!: string | null;

  @Field(() => String)
  message!: string;
}
