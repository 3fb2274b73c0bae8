import { Field, ID, Int, ObjectType } from '@nestjs/graphql';
import { Paginated } from '../platform/graphql/connection.js';
import { DeliveryState, type WebhookDeliveryEntity } from '../webhooks/webhook-delivery.entity.js';
import type { WebhookEntity } from '../webhooks/webhook.entity.js';

@ObjectType('MaintenanceWebhook', { description: 'Where the product is told that maintenance begins and ends.' })
export class MaintenanceWebhookModel {
  @Field(() => String)
  url!: string;

  @Field(() => Boolean, { description: 'Whether a restore is refused, live data untouched, when the product does not confirm in time.' })
  required!: boolean;

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => Date)
  updatedAt!: Date;
}

@ObjectType('WebhookDelivery', { description: 'One message to the product, with what became of it.' })
export class WebhookDeliveryModel {
  @Field(() => ID, { description: 'The `id` of the body and the `Holdfast-Delivery` header.' })
  id!: string;

  @Field(() => String, { description: 'Such as maintenance.started.' })
  event!: string;

  @Field(() => DeliveryState)
  state!: DeliveryState;

  @Field(() => Int)
  attempts!: number;

  @Field(() => Int, { nullable: true, description: 'The HTTP status of the last answer; null where none came.' })
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
export class WebhookDeliveryConnection extends Paginated('WebhookDelivery', () => WebhookDeliveryModel) {}

export function toMaintenanceWebhookModel({ url, required, createdAt, updatedAt }: WebhookEntity): MaintenanceWebhookModel {
  return { url, required, createdAt, updatedAt };
}

export function toWebhookDeliveryModel(row: WebhookDeliveryEntity): WebhookDeliveryModel {
  const { id, event, state, attempts, responseCode, lastError, createdAt, finishedAt } = row;
  return { id, event, state, attempts, responseCode, lastError, nextAttemptAt: state === 'PENDING' ? row.nextAttemptAt : null, createdAt, finishedAt };
}
