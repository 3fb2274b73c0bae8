import { Field, ObjectType } from '@nestjs/graphql';
import { Permission } from './permission.js';

@ObjectType({ description: 'Whether the server would let the actor do something now; a frontend greys the button out alike.' })
export class ActionState {
  @Field(() => Permission)
  permission!: Permission;

  @Field(() => Boolean)
  allowed!: boolean;

  @Field(() => String, { nullable: true })
  reason!: string | null;
}
