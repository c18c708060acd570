export { isPath, type Route, type ToHost, type ToView, type View, VIEWS } from "./bridge.js";
export { type Api, answered, type ClientOptions, createClient, type Fetch } from "./client.js";
export { CHOICES } from "./choices.js";
export { type DescribedField, type DescribedFields, describedRequests } from "./document.js";
export { ChefProblem } from "./problem.js";
export * from "./schema.js";
export {
  eventsOf,
  follow,
  type FollowOptions,
  messagesOf,
  type ServerEvent,
  type StreamData,
  type StreamPath,
} from "./streams.js";
export { type ChatEvent, resume, send, stop, type TurnOptions } from "./chat.js";
export { type PricedTraining, priceTraining, type TrainingMode } from "./training.js";
export {
  type Answer,
  ask,
  type ChangingUseCase,
  plan,
  post,
  type RequestOf,
  type ResultOf,
  type Tried,
  tryOut,
  type UseCase,
} from "./use_cases.js";
