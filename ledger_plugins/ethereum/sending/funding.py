"""Ether for senders: checked everywhere, given away on development chains."""

import logging
from collections.abc import Mapping

from fedledger.errors import LedgerUnavailable

from ..rpc.codec import as_int
from ..rpc.node import Later, Node, NodeRefusal
from ..rpc.refusals import reason_of
from .developers import DEVELOPMENT_CHAINS
from .waiting import await_receipts

__all__ = ["fund", "missing", "poverty"]

_log = logging.getLogger(__name__)
_ETHER = 10**18
_PAUSE = 0.01  # seconds after a refused gift
_PATIENCE = 3.0  # seconds that a gift may take before the next one is asked for


def missing(node: Node, needs: Mapping[str, int]) -> dict[str, int]:
    """Return the balances of accounts that have less than they need.

    Args:
        node: the node.
        needs: address to wei that the account's calls may cost.
    """
    asked = {address: need for address, need in needs.items() if need}
    balances = node.results([("eth_getBalance", (address, "latest")) for address in asked])
    held = dict(zip(asked, map(as_int, balances), strict=True))
    return {address: held[address] for address, need in asked.items() if held[address] < need}


def fund(node: Node, chain_id: int, needs: Mapping[str, int], wait: float) -> dict[str, str]:
    """Give accounts the ether they need on a development chain, from an account of the node.

    Args:
        node: the node.
        chain_id: its chain.
        needs: address to wei.
        wait: seconds the gifts may take.

    Returns:
        Address to what is wrong, for accounts that have less than they need.
    """
    again, deadline = chain_id in DEVELOPMENT_CHAINS, node.clock.monotonic() + wait
    poor = missing(node, needs)
    while poor and again:
        left = max(deadline - node.clock.monotonic(), 0)
        wanted = {address: needs[address] for address in poor}
        again = _give(node, wanted, min(left, _PATIENCE))
        poor = missing(node, wanted)
        if poor and again and node.clock.monotonic() > deadline:
            raise LedgerUnavailable(
                f"{node.where}: ether for {len(poor)} accounts was asked for but is in no block "
                f"after {wait:g} seconds; is the node mining?"
            )
    return {
        address: poverty(address, held, needs[address], chain_id) for address, held in poor.items()
    }


def poverty(address: str, held: int, need: int, chain_id: int) -> str:
    """Return the sentence for an account that cannot pay, both in wei."""
    return (
        f"{address} has {held} wei on chain {chain_id}, and its calls may cost {need} wei: send it "
        "ether"
    )


def _give(node: Node, needs: Mapping[str, int], wait: float) -> bool:
    """Give ether once; tell whether to ask again helps.

    A node signs each gift with the next nonce that it sees. When two senders ask at the same moment
    both gifts have one nonce, and the second is refused or takes the first one's place. One that is
    in no block for long may have missed the moment at which the node mines; the next one wakes it.
    """
    try:
        unlocked = node.ask("eth_accounts")
    except NodeRefusal:
        unlocked = []
    if not unlocked:
        return False
    gifts, contested = [], False
    for address, need in needs.items():
        value = hex(max(_ETHER, 2 * need))
        try:  # one by one: a gift is asked for once, whatever becomes of the connection
            gifts.append(
                node.ask(
                    "eth_sendTransaction",
                    {"from": unlocked[0], "to": address, "value": value},
                    again=False,
                )
            )
        except NodeRefusal as error:
            _log.info("the node gives %s no ether: %s", address, error.text)
            contested |= reason_of(error) in ("known", "nonce")
        except Later as error:  # it may be given, or not: the balance will say so
            _log.info("whether %s was given ether is not known: %s", address, error)
            contested = True
    if not gifts:
        node.clock.sleep(_PAUSE)
    return len(await_receipts(node, gifts, wait)) < len(gifts) or contested
