"""Development chains, and accounts whose keys everybody knows."""

from fedledger.errors import AccountError

__all__ = ["DEVELOPMENT_CHAINS", "PUBLIC_ACCOUNTS", "refuse_public_account"]

DEVELOPMENT_CHAINS = frozenset({1337, 31337, 131277322940537})
"""Chains that never hold value: of geth and ganache, of anvil and hardhat, of eth-tester."""

PUBLIC_ACCOUNTS = frozenset(
    {
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
        "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
        "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
        "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
        "0x976EA74026E726554dB657fA54763abd0C3a0aa9",
        "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",
        "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f",
        "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
        "0xBcd4042DE499D14e55001CcbB24a551F3b954096",
        "0x71bE63f3384f5fb98995898A86B02Fb2426c5788",
        "0xFABB0ac9d68B0B445fB7357272Ff202C5651694a",
        "0x1CBd3b2770909D4e10f157cABC84C7264073C9Ec",
        "0xdF3e18d64BC6A983f673Ab319CCaE4f1a57C7097",
        "0xcd3B766CCDd6AE721141F452C550Ca635964ce71",
        "0x2546BcD3c84621e976D8185a91A922aE77ECEc30",
        "0xbDA5747bFD65F08deb54cb465eB87D40e51B197E",
        "0xdD2FD4581271e230360230F9337D5c0430Bf44C0",
        "0x8626f6940E2eb28930eFb4CeF49B2d1F2C9C1199",
        "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
        "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF",
        "0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69",
        "0x1efF47bc3a10a45D4B230B5d10E37751FE6AA718",
        "0xe1AB8145F7E55DC933d51a18c793F901A3A0b276",
        "0xE57bFE9F44b819898F47BF37E5AF72a0783e1141",
        "0xd41c057fd1c78805AAC12B0A94a405c0461A6FBb",
        "0xF1F6619B38A98d6De0800F1DefC0a6399eB6d30C",
        "0xF7Edc8FA1eCc32967F827C9043FcAe6ba73afA5c",
        "0x4CCeBa2d7D2B4fdcE4304d3e09a1fea9fbEb1528",
    }
)
"""The first 20 accounts of the mnemonic of anvil and hardhat, and eth-tester's keys 1 to 10."""


def refuse_public_account(address: str, chain_id: int) -> None:
    """Refuse an account whose key is public, anywhere but on a development chain.

    Raises:
        AccountError: it is one.
    """
    if address in PUBLIC_ACCOUNTS and chain_id not in DEVELOPMENT_CHAINS:
        raise AccountError(
            f"{address} is a development account: everybody has its key, and anybody can take what "
            f"it holds on chain {chain_id}; make one with `fedledger account create`"
        )
