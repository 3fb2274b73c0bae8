export { stampOf, type Actor, type ActorKind, type ActorStamp } from '../platform/auth/actor.js';
