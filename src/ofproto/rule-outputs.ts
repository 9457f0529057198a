import type { Action } from '../openflow/actions.ts';

/** Whether a list of actions may send to a port: what the out_port filters of requests ask. */
export function outputsToPort(actions: readonly Action[], port: number): boolean {
  return actions.some((action) => {
    switch (action.kind) {
      case 'output':
      case 'enqueue':
      case 'output_trunc':
        return action.port === port;
      case 'controller':
        return port === 0xfffffffd;
      case 'bundle':
        return action.slaves.some((slave) => slave === port);
      case 'write_actions':
      case 'clone':
        return outputsToPort(action.actions, port);
      default:
        return false;
    }
  });
}

/** Whether a list of actions names a group. */
export function outputsToGroup(actions: readonly Action[], group: number): boolean {
  return actions.some((action) => {
    switch (action.kind) {
      case 'group':
        return action.groupId === group;
      case 'write_actions':
      case 'clone':
        return outputsToGroup(action.actions, group);
      default:
        return false;
    }
  });
}
