"""Chains in memory that gained a contract."""

from typing import Any

from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import CallTerms, UnsignedTransaction
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.contracts.digest import twin_digest
from fedledger.ledger_plugins.contracts.registry import abi_digest, twin_of, versioned
from fedledger.ledger_plugins.local.chain.chain import Chain
from fedledger.ledger_plugins.local.chain.directory import contract_address
from fedledger.ledger_plugins.local.chain.genesis import Genesis

__all__ = ["grown_chain", "signed_on"]

ADMIN = Account.from_key(b"\1" * 32)


def grown_chain(*, undo=0, blocks=None):
    """Return a chain of ten blocks whose Counter comes in block 2 and changes in block 6.

    Args:
        undo: how many blocks can be taken back.
        blocks: follow these instead of making some.
    """
    genesis = Genesis.new(7, 2**256, ADMIN.address)
    chain = Chain(genesis.block(1_000), undo=undo)
    if blocks is not None:
        for block in blocks:
            chain.extend(block)
        return chain, blocks
    made = []
    for index in range(1, 11):
        with chain.begin(1_000 + index) as draft:
            draft.add(_call(chain, index))
            made.append(draft.seal())
            draft.keep(made[-1])
    return chain, made


def _call(chain, index):
    contract: str
    call: tuple[Any, ...]
    if index in (1, 4):
        version = 1 if index == 1 else 2
        named = versioned("Counter", version)
        digests = abi_digest(named), twin_digest(twin_of(named))
        contract, call = "ContractRegistry", ("add", "Counter", version, index + version, *digests)
    elif index in (2, 3):
        contract, call = "Counter", ("increase", index)
    else:
        contract, call = "StakeToken", ("mint", ADMIN.address, index)
    if index > 6:
        contract, call = "Counter", ("increase", 1)
    terms = CallTerms(7, contract_address(contract))
    nonce = chain.execution.nonce(ADMIN.address)
    named = contract if contract != "Counter" else chain.execution.named(contract, index)
    return ADMIN.sign(UnsignedTransaction(terms, nonce, encode_call(named, *call)))


def signed_on(chain, account, contract, function, *args):
    """Return the bytes of an account's next call on a chain in memory."""
    terms = CallTerms(chain.genesis.chain_id, contract_address(contract))
    nonce = chain.execution.nonce(account.address)
    return account.sign(
        UnsignedTransaction(terms, nonce, encode_call(contract, function, *args))
    ).raw
