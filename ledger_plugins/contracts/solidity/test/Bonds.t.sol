// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBonds} from "../../bonds/IBonds.sol";
import {IStakeToken} from "../../stake_token/IStakeToken.sol";
import {ITokenReceiver} from "../TokenReceiver.sol";
import {Fixture, Vm, bound} from "./Fixture.sol";

/// @notice Takes tokens, and while it does tries to deposit and withdraw on its own account.
contract Greedy is ITokenReceiver {
    IBonds private immutable BONDS;

    constructor(IBonds bonds) {
        BONDS = bonds;
    }

    function onTokenTransfer(address, uint256 value, bytes calldata) external {
        BONDS.onTokenTransfer(address(this), value, "");
    }
}

/// @notice Refuses without a word, as a contract does that knows no such function.
contract Mute {
    fallback() external {
        revert();
    }
}

contract BondsTest is Fixture {
    bytes32 private constant TASK = "task 1";
    bytes32 private constant ROLE = keccak256("LOCKER_ROLE");

    function setUp() public override {
        super.setUp();
        vm.prank(ADMIN);
        token.mint(ANN, 100);
        vm.prank(ANN);
        token.transferAndCall(address(bonds), 90, "");
        vm.prank(LOCKER);
        bonds.lock(ANN, TASK, 50);
    }

    function test_what_is_locked_cannot_be_withdrawn() public {
        vm.expectRevert(abi.encodeWithSelector(IBonds.FreeTooSmall.selector, ANN, 40, 41));
        vm.prank(ANN);
        bonds.withdraw(41);
        vm.prank(ANN);
        bonds.withdraw(40);
        vm.assertEq(token.balanceOf(ANN), 50, "out");
    }

    function test_only_who_locked_releases_or_slashes() public {
        vm.prank(ADMIN);
        token.grantRole(ROLE, EVE);
        bytes memory nothing =
            abi.encodeWithSelector(IBonds.LockedTooSmall.selector, ANN, TASK, 0, 50);
        vm.expectRevert(nothing);
        vm.prank(EVE);
        bonds.release(ANN, TASK, 50);
        uint256[] memory amounts = new uint256[](1);
        amounts[0] = 50;
        vm.expectRevert(nothing);
        vm.prank(EVE);
        bonds.slash(ANN, TASK, list(EVE), amounts);
    }

    function test_a_receiver_cannot_deposit_what_it_does_not_pay() public {
        Greedy greedy = new Greedy(bonds);
        vm.expectRevert(abi.encodeWithSelector(IBonds.NotToken.selector, address(greedy)));
        vm.prank(ANN);
        token.transferAndCall(address(greedy), 10, "");
    }

    function test_who_knows_no_such_function_receives_nothing() public {
        address mute = address(new Mute());
        vm.expectRevert(abi.encodeWithSelector(IStakeToken.NotReceiver.selector, mute));
        vm.prank(ANN);
        token.transferAndCall(mute, 10, "");
        vm.assertEq(token.balanceOf(ANN), 10, "nothing moved");
    }

    function test_who_lost_the_role_cannot_reach_what_it_locked() public {
        vm.prank(ADMIN);
        token.revokeRole(ROLE, LOCKER);
        vm.expectRevert(abi.encodeWithSelector(IBonds.NotLocker.selector, LOCKER));
        vm.prank(LOCKER);
        bonds.release(ANN, TASK, 50);
    }
}

/// @notice Deposits, locks and takes away as anybody might.
contract BondsHandler {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    IStakeToken private immutable TOKEN;
    IBonds private immutable BONDS;

    address[] public actors;
    address[] public lockers;
    uint256 public sent; // to the contract, without a deposit
    bool public strangerReached;

    constructor(IStakeToken token, IBonds bonds, address[] memory people, address[] memory two) {
        TOKEN = token;
        BONDS = bonds;
        actors = people;
        lockers = two;
    }

    function deposit(uint256 who, uint256 amount) external {
        address account = actors[who % actors.length];
        amount = bound(amount, 0, TOKEN.balanceOf(account));
        vm.startPrank(account);
        if (who % 3 == 0) {
            TOKEN.approve(address(BONDS), amount);
            BONDS.deposit(amount);
        } else if (who % 3 == 1) {
            TOKEN.transferAndCall(address(BONDS), amount, "");
        } else {
            TOKEN.transfer(address(BONDS), amount / 8);
            sent += amount / 8;
        }
        vm.stopPrank();
    }

    function lock(uint256 by, uint256 who, uint256 purpose, uint256 amount) external {
        (address locker, address account) = both(by, who);
        vm.prank(locker);
        BONDS.lock(account, purposeOf(purpose), bound(amount, 0, BONDS.free(account)));
        if (locker == actors[0]) strangerReached = true;
    }

    function release(uint256 by, uint256 who, uint256 purpose, uint256 amount) external {
        (address locker, address account) = both(by, who);
        bytes32 about = purposeOf(purpose);
        amount = bound(amount, 0, BONDS.locked(account, locker, about) + 1);
        vm.prank(locker);
        BONDS.release(account, about, amount);
    }

    function slash(uint256 by, uint256 who, uint256 purpose, uint256 amount, uint256 to) external {
        (address locker, address account) = both(by, who);
        bytes32 about = purposeOf(purpose);
        address[] memory those = new address[](3);
        uint256[] memory amounts = new uint256[](3);
        uint256 left = BONDS.locked(account, locker, about);
        for (uint256 i = 0; i < 3; ++i) {
            those[i] = (to >> i) % 4 == 0 ? address(BONDS) : actors[(to >> i) % actors.length];
            amounts[i] = bound(amount >> i, 0, left);
            left -= amounts[i];
        }
        vm.prank(locker);
        BONDS.slash(account, about, those, amounts);
    }

    function withdraw(uint256 who, uint256 amount) external {
        address account = actors[who % actors.length];
        amount = bound(amount, 0, BONDS.free(account));
        vm.prank(account);
        BONDS.withdraw(amount);
    }

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 0, 100_000));
    }

    function accounted() external view returns (uint256 sum) {
        sum = BONDS.free(address(BONDS));
        for (uint256 i = 0; i < actors.length; ++i) {
            sum += BONDS.free(actors[i]);
            for (uint256 j = 0; j < 2 * lockers.length; ++j) {
                sum += BONDS.locked(actors[i], lockers[j / 2], purposeOf(j));
            }
        }
    }

    /// @dev A locker seven times in eight, else somebody who is none.
    function both(uint256 by, uint256 who) private view returns (address, address) {
        address locker = by % 8 == 0 ? actors[0] : lockers[by % lockers.length];
        return (locker, actors[who % actors.length]);
    }

    function purposeOf(uint256 seed) private pure returns (bytes32) {
        return seed % 2 == 0 ? bytes32("task 1") : bytes32("task 2");
    }
}

contract BondsInvariantsTest is Fixture {
    BondsHandler private handler;

    function setUp() public override {
        super.setUp();
        address[] memory people = new address[](4);
        (people[0], people[1], people[2], people[3]) = (ANN, BOB, EVE, OWNER);
        address[] memory two = new address[](2);
        (two[0], two[1]) = (LOCKER, ADMIN);
        vm.startPrank(ADMIN);
        token.grantRole(token.LOCKER_ROLE(), ADMIN);
        for (uint256 i = 0; i < people.length; ++i) {
            token.mint(people[i], 1000);
        }
        vm.stopPrank();
        handler = new BondsHandler(token, bonds, people, two);
    }

    function targetContracts() public view returns (address[] memory) {
        return list(address(handler));
    }

    function invariant_what_is_held_is_free_or_locked() public view {
        vm.assertEq(token.balanceOf(address(bonds)), handler.accounted() + handler.sent(), "held");
    }

    function invariant_only_lockers_lock() public view {
        vm.assertEq(handler.strangerReached(), false, "locked by a stranger");
    }
}
