import { Field, ObjectType, registerEnumType } from '@nestjs/graphql';

export enum ActorKindName {
  ACCOUNT = 'ACCOUNT',
  HOST_PRODUCT = 'HOST_PRODUCT',
  API_KEY = 'API_KEY',
  SYSTEM = 'SYSTEM',
}

registerEnumType(ActorKindName, { name: 'ActorKind' });

@ObjectType('Actor', { description: 'Who did something: kept as it was then.' })
export class ActorModel {
  @Field(() => ActorKindName)
  kind!: ActorKindName;

  @Field(() => String, { nullable: true })
  email!: string | null;

  @Field(() => String, { nullable: true })
  name!: string | null;
}

/** Takes what a row has kept of an actor (`stampOf`). */
export function toActorModel(stamp: Readonly<Record<string, unknown>> | null): ActorModel | null {
  if (stamp === null) return null;
  const kind = Object.values(ActorKindName).find((one) => one === stamp['kind']) ?? ActorKindName.SYSTEM;
  return { kind, email: textOrNull(stamp['email']), name: textOrNull(stamp['name']) };
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
