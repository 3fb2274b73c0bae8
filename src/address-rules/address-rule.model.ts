import { Field, ObjectType } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';

@ObjectType('AddressRule', { description: 'Addresses from which the workspace may be used. Without any rule every address is allowed.' })
export class AddressRuleModel {
  @Field(() => String, { description: 'CIDR, of IPv4 or IPv6.' })
  range!: string;

  @Field(() => Permission, { nullable: true, description: 'Null: whatever is done in the workspace. Else the list of this permission alone, which has to allow the address as well.' })
  permission!: Permission | null;

  @Field(() => String, { nullable: true })
  note!: string | null;
}
