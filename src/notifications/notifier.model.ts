import { Field, ID, Int, ObjectType } from '@nestjs/graphql';
import { AlertEvent, AlertSeverity } from '../alerts/alert-event.js';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { Paginated } from '../platform/graphql/connection.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { Node } from '../platform/graphql/node.model.js';
import { type AlertDeliveryEntity, AlertDeliveryState } from './alert-delivery.entity.js';
import { NotifierChannel, type NotifierEntity } from './notifier.entity.js';

@ObjectType('AlertDelivery', { description: 'One message of a notifier, with what became of it.' })
export class AlertDeliveryModel {
  @Field(() => String, { description: 'The event of the alert, or TEST.' })
  event!: string;

  @Field(() => AlertDeliveryState)
  state!: AlertDeliveryState;

  @Field(() => Int)
  attempts!: number;

  @Field(() => Int, { nullable: true, description: 'The HTTP status of the last answer; null where none came, and for e-mail.' })
  responseCode!: number | null;

  @Field(() => String, { nullable: true })
  lastError!: string | null;

  @Field(() => Date, { nullable: true, description: 'Null once nothing more is sent.' })
  nextAttemptAt!: Date | null;

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => Date, { nullable: true })
  finishedAt!: Date | null;
}

@ObjectType()
export class AlertDeliveryConnection extends Paginated('AlertDelivery', () => AlertDeliveryModel) {}

@ObjectType('Notifier', { implements: () => [Node], description: 'Tells somebody of alerts. Where it sends to is never shown again whole.' })
export class NotifierModel implements Node {
  readonly __typename = 'Notifier';

  /** For field resolvers; not part of the schema. */
  uuid!: string;

  @Field(() => ID)
  id!: string;

  @Field(() => String)
  name!: string;

  @Field(() => NotifierChannel)
  channel!: NotifierChannel;

  @Field(() => String, { description: 'Enough of the address to recognise it.' })
  address!: string;

  @Field(() => [AlertEvent], { description: 'Empty: all.' })
  events!: readonly AlertEvent[];

  @Field(() => AlertSeverity, { description: 'Less severe alerts are not told.' })
  minSeverity!: AlertSeverity;

  @Field(() => Int, { description: 'For so long after an event the same one of the same tenant is not told again.' })
  cooldownMinutes!: number;

  @Field(() => Boolean)
  active!: boolean;

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => ActorModel, { nullable: true })
  createdBy!: ActorModel | null;
}

@ObjectType()
export class NotifierConnection extends Paginated('Notifier', () => NotifierModel) {}

export function toNotifierModel(row: NotifierEntity): NotifierModel {
  const { id, name, channel, shownAddress, events, minSeverity, cooldownMinutes, active, createdAt } = row;
  return { __typename: 'Notifier', uuid: id, id: toGlobalId('Notifier', id), name, channel, address: shownAddress, events, minSeverity, cooldownMinutes, active, createdAt, createdBy: toActorModel(row.createdBy) };
}

export function toAlertDeliveryModel(row: AlertDeliveryEntity): AlertDeliveryModel {
  const { event, state, attempts, responseCode, lastError, createdAt, finishedAt } = row;
  return { event, state, attempts, responseCode, lastError, nextAttemptAt: state === 'PENDING' ? row.nextAttemptAt : null, createdAt, finishedAt };
}
